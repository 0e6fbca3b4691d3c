package http1

import (
	"bytes"
	"io"

	"github.com/usher-mesh/usher/internal/proxy/buffer"
	"github.com/usher-mesh/usher/internal/proxy/exchange"
)

type bodyKind uint8

const (
	noBody bodyKind = iota
	lengthBody
	chunkedBody
	closeBody
)

// maxExtensions bounds all chunk extensions of one body, maxTrailers the bytes
// of its trailers: neither is paid for by content.
const (
	maxExtensions = 4 << 10
	maxTrailers   = 1500
)

// Body is the content of the Reader's current message, without its framing. It
// gives io.EOF at the declared end, ErrTruncated if the connection ends before,
// an *Error if the chunks are malformed.
type Body struct {
	r        *Reader
	kind     bodyKind
	started  bool  // a chunk has been read before
	left     int64 // of the content, or of the current chunk
	ext      int
	gathered bool // Whole has looked at the connection
	trailer  *exchange.Header
	err      error
}

// Done tells whether the body was read to its end.
func (b *Body) Done() bool {
	return b.kind == noBody || b.err == io.EOF || b.kind == lengthBody && b.left == 0
}

// Buffered counts the bytes that Read gives without waiting for the connection;
// of chunks at most what is known to be content.
func (b *Body) Buffered() int {
	if b.err != nil || b.kind == noBody {
		return 0
	}
	n := b.r.Buffered()
	if b.kind == closeBody {
		return n
	}
	return int(min(int64(n), b.left))
}

// Whole gives all of the content if it has come already, without using it up: what may
// be sent again if a connection turns out to be dead. It looks at the connection once.
func (b *Body) Whole() ([]byte, bool) {
	if b.kind != lengthBody || b.err != nil {
		return nil, false
	}
	if int64(b.r.Buffered()) < b.left {
		if b.gathered || b.left > buffer.Large {
			return nil, false
		}
		b.gathered = true
		if b.r.gather(int(b.left)); int64(b.r.Buffered()) < b.left {
			return nil, false
		}
	}
	return b.r.buf[b.r.start : b.r.start+int(b.left)], true
}

// Skip uses up the content that Whole gave.
func (b *Body) Skip() {
	b.r.start += int(b.left)
	b.left = 0
	b.err = io.EOF
}

// Read implements io.Reader.
func (b *Body) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	if len(p) == 0 {
		return 0, nil
	}
	n, err := b.read(p)
	if err != nil {
		b.err = err
	}
	if n > 0 {
		return n, nil
	}
	return 0, err
}

func (b *Body) read(p []byte) (int, error) {
	switch b.kind {
	case lengthBody:
		return b.content(p, b.left == 0)
	case chunkedBody:
		if b.left == 0 {
			if err := b.chunk(); err != nil {
				return 0, err
			}
		}
		return b.content(p, false)
	case closeBody:
		if n := b.r.Buffered(); n > 0 {
			n = copy(p, b.r.buf[b.r.start:b.r.end])
			b.r.start += n
			return n, nil
		}
		return b.r.into(p)
	}
	return 0, io.EOF
}

// content reads at most the bytes that are left, past the buffer if it is empty.
func (b *Body) content(p []byte, end bool) (int, error) {
	if end {
		return 0, io.EOF
	}
	if int64(len(p)) > b.left {
		p = p[:b.left]
	}
	r := b.r
	if r.start < r.end {
		n := copy(p, r.buf[r.start:r.end])
		r.start += n
		b.left -= int64(n)
		return n, nil
	}
	if b.kind == chunkedBody && len(p) < buffer.Small/2 {
		if err := r.refill(); err != nil {
			return 0, truncated(err)
		}
		return b.content(p, false)
	}
	n, err := r.into(p)
	b.left -= int64(n)
	if n > 0 {
		return n, nil
	}
	return 0, truncated(err)
}

func truncated(err error) error {
	if err == io.EOF {
		return ErrTruncated
	}
	return err
}

// line gives the next line of the body's framing, without its end; what it gives
// holds until the next call.
func (b *Body) line(limit int) ([]byte, error) {
	r := b.r
	for from := 0; ; {
		u := r.buf[r.start:r.end]
		if i := bytes.IndexByte(u[from:], '\n'); i >= 0 {
			i += from
			if i == 0 || u[i-1] != '\r' {
				return nil, errLineEnd
			}
			r.start += i + 1
			return u[:i-1], nil
		}
		if len(u) > limit {
			return nil, errChunkExt
		}
		from = len(u)
		if err := r.refill(); err != nil {
			return nil, truncated(err)
		}
	}
}

// chunk reads to the content of the next chunk; io.EOF after the last one and
// the trailers (RFC 9112, 7.1).
func (b *Body) chunk() error {
	if b.started {
		if l, err := b.line(1); err != nil {
			if err == errChunkExt || err == errLineEnd {
				return errChunkEnd
			}
			return err
		} else if len(l) != 0 {
			return errChunkEnd
		}
	}
	b.started = true
	l, err := b.line(1024)
	if err != nil {
		return err
	}
	n, digits := int64(0), 0
	for digits < len(l) {
		d := unhex(l[digits])
		if d < 0 {
			break
		}
		if digits++; digits > 15 {
			return errChunkSize
		}
		n = n<<4 | int64(d)
	}
	if digits == 0 {
		return errChunkSize
	}
	if ext := l[digits:]; len(ext) > 0 {
		if ext[0] != ';' {
			return errChunkSize
		}
		if b.ext += len(ext); b.ext > maxExtensions || !values(view(ext)) {
			return errChunkExt
		}
	}
	if n > 0 {
		b.left = n
		return nil
	}
	return b.trailers()
}

// trailers reads the trailer section into the message's trailers. The strings are
// copies, since the buffer goes on to be used.
func (b *Body) trailers() error {
	limit := b.r.Limits.fields()
	for size, count := 0, 0; ; count++ {
		l, err := b.line(maxTrailers)
		if err == errChunkExt {
			return errTrailerSize
		}
		if err != nil {
			return err
		}
		if len(l) == 0 {
			return io.EOF
		}
		if size += len(l); size > maxTrailers || count >= limit {
			return errTrailerSize
		}
		name, value, err := field(l)
		if err != nil {
			return err
		}
		if !trailerAllowed(name) {
			return errTrailer
		}
		switch b.r.Limits.Underscores.Of(name) {
		case DropUnderscores:
			continue
		case RefuseUnderscores:
			return errUnderscore
		}
		if !b.r.Limits.Trailers {
			continue
		}
		both := name + value
		b.trailer.Add(both[:len(name)], both[len(name):])
	}
}
