package http1

import "github.com/usher-mesh/usher/internal/proxy/buffer"

// smallBuffers are small buffers for deadline.Conn.
type smallBuffers struct{}

func (smallBuffers) Get() []byte  { return buffer.Get(buffer.Small) }
func (smallBuffers) Put(b []byte) { buffer.Put(b) }
