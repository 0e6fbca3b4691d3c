package compressor

import (
	"bytes"
	"io"
	"sync/atomic"

	"github.com/usher-mesh/usher/internal/proxy/buffer"
	"github.com/usher-mesh/usher/internal/proxy/exchange"
)

// body is content that is compressed while it is read. What has come is passed on before
// more is waited for, so that events that a server sends one by one are not held back.
type body struct {
	src      exchange.Content
	l        *library
	e        encoder // nil once it has ended
	out      bytes.Buffer
	err      error // of src
	from, to *atomic.Int64
}

func newBody(src exchange.Content, l *library, from, to *atomic.Int64) *body {
	b := &body{src: src, l: l, from: from, to: to}
	b.e = l.get(&b.out)
	return b
}

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	for b.out.Len() == 0 {
		if b.e == nil {
			return 0, b.err
		}
		b.out.Reset()
		b.next()
		b.to.Add(int64(b.out.Len()))
	}
	return b.out.Read(p)
}

// next compresses what comes next. Writing to memory does not fail.
func (b *body) next() {
	in := buffer.Get(buffer.Medium)[:buffer.Medium]
	defer buffer.Put(in)
	n, err := b.src.Read(in)
	b.from.Add(int64(n))
	b.e.Write(in[:n])
	switch {
	case err == io.EOF, err == nil && b.src.Done():
		b.e.Close()
		b.end(io.EOF)
	case err != nil: // the rest must not look like the whole
		b.e.Flush()
		b.end(err)
	case b.src.Buffered() == 0:
		b.e.Flush()
	}
}

func (b *body) end(err error) {
	b.err = err
	b.l.put(b.e)
	b.e = nil
}

// Whole and Skip are for content that is at hand as a whole, which this is not.
func (b *body) Whole() ([]byte, bool) { return nil, false }

// Skip implements exchange.Content.
func (b *body) Skip() {}

// Done tells whether nothing comes any more.
func (b *body) Done() bool { return b.err == io.EOF && b.out.Len() == 0 }

// Buffered counts what Read gives without waiting.
func (b *body) Buffered() int { return b.out.Len() }
