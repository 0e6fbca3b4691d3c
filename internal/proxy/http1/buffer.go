package http1

import "sync"

// Sizes of pooled buffers. Most messages fit in the small one; the large one
// holds the largest head that is accepted and some of the body.
const (
	smallBuffer  = 4 << 10
	mediumBuffer = 16 << 10
	largeBuffer  = 64 << 10
)

// The pools hold pointers to arrays, so that Put does not allocate.
var (
	smallPool  = sync.Pool{New: func() any { return new([smallBuffer]byte) }}
	mediumPool = sync.Pool{New: func() any { return new([mediumBuffer]byte) }}
	largePool  = sync.Pool{New: func() any { return new([largeBuffer]byte) }}
)

// getBuffer gives a buffer of at least n bytes, n <= largeBuffer.
func getBuffer(n int) []byte {
	switch {
	case n <= smallBuffer:
		return smallPool.Get().(*[smallBuffer]byte)[:]
	case n <= mediumBuffer:
		return mediumPool.Get().(*[mediumBuffer]byte)[:]
	}
	return largePool.Get().(*[largeBuffer]byte)[:]
}

func putBuffer(b []byte) {
	switch cap(b) {
	case smallBuffer:
		smallPool.Put((*[smallBuffer]byte)(b[:smallBuffer]))
	case mediumBuffer:
		mediumPool.Put((*[mediumBuffer]byte)(b[:mediumBuffer]))
	case largeBuffer:
		largePool.Put((*[largeBuffer]byte)(b[:largeBuffer]))
	}
}

// smallBuffers are small buffers for deadline.Conn.
type smallBuffers struct{}

func (smallBuffers) Get() []byte  { return getBuffer(smallBuffer) }
func (smallBuffers) Put(b []byte) { putBuffer(b) }
