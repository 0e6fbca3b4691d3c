package http2

import (
	"io"
	"os"

	"github.com/usher-mesh/usher/internal/proxy/buffer"
)

// Body is the content that a stream receives. It gives io.EOF at its end, what ended
// the stream early, or os.ErrDeadlineExceeded.
type Body struct {
	st  *Stream
	err error
}

// Read implements io.Reader.
func (b *Body) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	st := b.st
	c := st.c
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		if over(st.rdead) {
			return 0, os.ErrDeadlineExceeded
		}
		if n := len(st.buf) - st.start; n > 0 {
			n = copy(p, st.buf[st.start:])
			st.consume(n)
			return n, nil
		}
		switch {
		case st.err != nil && !st.ended:
			b.err = st.err
			return 0, b.err
		case st.ended:
			b.err = io.EOF
			st.takeTrailers()
			return 0, io.EOF
		}
		st.rcond.Wait()
	}
}

// takeTrailers hands the received trailers over. The lock is held.
func (st *Stream) takeTrailers() {
	if st.hasTrailers && st.trailer != nil {
		*st.trailer, st.trailers.header = st.trailers.header, *st.trailer
		st.trailers.header.Reset()
		st.hasTrailers = false
	}
}

// Done tells whether nothing comes any more, neither content nor trailers.
func (b *Body) Done() bool {
	if b.err != nil {
		return b.err == io.EOF
	}
	b.st.c.mu.Lock()
	defer b.st.c.mu.Unlock()
	return b.st.ended && len(b.st.buf) == b.st.start && !b.st.hasTrailers
}

// Buffered counts the bytes that Read gives without waiting.
func (b *Body) Buffered() int {
	b.st.c.mu.Lock()
	defer b.st.c.mu.Unlock()
	return len(b.st.buf) - b.st.start
}

// Whole gives all of the content if it has come, and no trailers with it, without
// using it up. It holds until the stream's end.
func (b *Body) Whole() ([]byte, bool) {
	st := b.st
	st.c.mu.Lock()
	defer st.c.mu.Unlock()
	if b.err != nil || !st.ended || st.hasTrailers || st.got != int64(len(st.buf)-st.start) {
		return nil, false
	}
	return st.buf[st.start:], true
}

// Skip uses up the content that Whole gave; its bytes hold nevertheless.
func (b *Body) Skip() {
	st := b.st
	st.c.mu.Lock()
	defer st.c.mu.Unlock()
	st.credit(len(st.buf) - st.start)
	st.start = len(st.buf)
	b.err = io.EOF
}

// consume uses up n bytes of the buffer. The lock is held.
func (st *Stream) consume(n int) {
	st.start += n
	if st.start == len(st.buf) {
		buffer.Put(st.buf)
		st.buf, st.start = nil, 0
	}
	st.credit(n)
	if st.ended || st.reset {
		return
	}
	st.unacked += int32(n)
	if st.unacked >= st.c.o.StreamWindow/2 {
		st.c.sendWindow(st.id, st.unacked)
		st.recvWindow += st.unacked
		st.unacked = 0
	}
}

// credit gives back the connection's window for n bytes that were passed on. The
// lock is held.
func (st *Stream) credit(n int) {
	if st.c.server {
		st.c.credit(n)
	}
}

// take adds received content to the buffer. The lock is held.
func (st *Stream) take(p []byte) {
	if len(p) == 0 {
		return
	}
	if st.start > len(st.buf)/2 && cap(st.buf)-len(st.buf) < len(p) {
		st.buf = st.buf[:copy(st.buf, st.buf[st.start:])]
		st.start = 0
	}
	st.buf = append(grow(st.buf, len(p)), p...)
}
