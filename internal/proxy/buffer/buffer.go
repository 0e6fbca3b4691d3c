// Package buffer lends byte buffers of a few sizes, which all connections share,
// whatever protocol they speak. It knows none.
package buffer

import "sync"

// Sizes of pooled buffers: most messages fit in Small; Large holds the largest head
// that is accepted and some of the body, Batch what waits for a socket.
const (
	Small  = 4 << 10
	Medium = 16 << 10
	Large  = 64 << 10
	Batch  = 112 << 10
)

// The pools hold pointers to arrays, so that Put does not allocate.
var (
	small  = sync.Pool{New: func() any { return new([Small]byte) }}
	medium = sync.Pool{New: func() any { return new([Medium]byte) }}
	large  = sync.Pool{New: func() any { return new([Large]byte) }}
	batch  = sync.Pool{New: func() any { return new([Batch]byte) }}
)

// Get lends a buffer of at least n bytes, whose content is anybody's.
func Get(n int) []byte {
	switch {
	case n <= Small:
		return small.Get().(*[Small]byte)[:]
	case n <= Medium:
		return medium.Get().(*[Medium]byte)[:]
	case n <= Large:
		return large.Get().(*[Large]byte)[:]
	case n <= Batch:
		return batch.Get().(*[Batch]byte)[:]
	}
	return make([]byte, n)
}

// Put takes a buffer back that Get gave, whatever its length is now. Others are left
// to the garbage collector.
func Put(b []byte) {
	switch cap(b) {
	case Small:
		small.Put((*[Small]byte)(b[:Small]))
	case Medium:
		medium.Put((*[Medium]byte)(b[:Medium]))
	case Large:
		large.Put((*[Large]byte)(b[:Large]))
	case Batch:
		batch.Put((*[Batch]byte)(b[:Batch]))
	}
}
