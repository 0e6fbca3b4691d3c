package grpcstats

import (
	"io"

	"github.com/usher-mesh/usher/internal/proxy/counters"
	"github.com/usher-mesh/usher/internal/proxy/exchange"
)

// content is content whose messages are counted when they begin to come by.
type content struct {
	exchange.Content
	frames frames
	ahead  int    // bytes that were looked at and not yet read
	end    func() // nil, or what is called once when all was read
}

// Read implements io.Reader.
func (c *content) Read(p []byte) (int, error) {
	n, err := c.Content.Read(p)
	seen := min(n, c.ahead)
	c.ahead -= seen
	c.frames.count(p[seen:n])
	if err == io.EOF || err == nil && c.Content.Done() {
		c.ended()
	}
	return n, err
}

// Whole gives all of it if it has come already.
func (c *content) Whole() ([]byte, bool) {
	b, ok := c.Content.Whole()
	if ok {
		c.frames.count(b[min(c.ahead, len(b)):])
		c.ahead = len(b)
		c.ended()
	}
	return b, ok
}

func (c *content) ended() {
	if c.end != nil {
		c.end()
		c.end = nil
	}
}

// frames counts the messages of a stream by their prefixes: a byte of flags and four of
// the length (gRPC's PROTOCOL-HTTP2.md).
type frames struct {
	n      *uint64           // of the request
	total  *counters.Counter // of all; nil: nobody's
	off    bool              // it is no stream of messages
	prefix uint8             // bytes of a prefix that have come
	left   uint32            // of the message, or its length as far as it is known
}

const prefixLen = 5

// count looks at what comes next.
func (f *frames) count(b []byte) {
	if f.off {
		return
	}
	begun := uint64(0)
	for len(b) > 0 {
		if f.prefix == prefixLen {
			if n := uint32(min(uint64(len(b)), uint64(f.left))); n > 0 {
				b, f.left = b[n:], f.left-n
			}
			if f.left == 0 {
				f.prefix = 0
			}
			continue
		}
		if f.prefix == 0 {
			begun++
			f.left = 0
		} else {
			f.left = f.left<<8 | uint32(b[0])
		}
		b = b[1:]
		f.prefix++
	}
	if begun > 0 {
		*f.n += begun
		if f.total != nil {
			f.total.Add(begun)
		}
	}
}
