package http2

import "github.com/usher-mesh/usher/internal/proxy/buffer"

// grow makes room for n more bytes.
func grow(b []byte, n int) []byte {
	if cap(b)-len(b) >= n {
		return b
	}
	bigger := buffer.Get(max(len(b)+n, min(2*cap(b), 1<<20)))[:0]
	bigger = append(bigger, b...)
	buffer.Put(b)
	return bigger
}
