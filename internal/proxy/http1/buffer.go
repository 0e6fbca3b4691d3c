package http1

import (
	"github.com/usher-mesh/usher/internal/proxy/buffer"
	"github.com/usher-mesh/usher/internal/proxy/deadline"
)

// Buffers for deadline.Conn. They are types, since to choose between values would allocate.
type (
	smallBuffers  struct{}
	mediumBuffers struct{}
	largeBuffers  struct{}
)

func (smallBuffers) Get() []byte   { return buffer.Get(buffer.Small) }
func (mediumBuffers) Get() []byte  { return buffer.Get(buffer.Medium) }
func (largeBuffers) Get() []byte   { return buffer.Get(buffer.Large) }
func (smallBuffers) Put(b []byte)  { buffer.Put(b) }
func (mediumBuffers) Put(b []byte) { buffer.Put(b) }
func (largeBuffers) Put(b []byte)  { buffer.Put(b) }

// buffersFor has room for a message like the last one, of n bytes, to be read at once: who
// sends some content mostly sends as much again. What fits in no buffer is read in parts.
func buffersFor(n int) deadline.Buffers {
	switch {
	case n <= buffer.Small || n > buffer.Large:
		return smallBuffers{}
	case n <= buffer.Medium:
		return mediumBuffers{}
	}
	return largeBuffers{}
}
