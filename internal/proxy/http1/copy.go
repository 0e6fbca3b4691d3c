package http1

import (
	"io"
	"strconv"

	"github.com/usher-mesh/usher/internal/proxy/buffer"
	"github.com/usher-mesh/usher/internal/proxy/exchange"
)

// chunkHead is room for the size line of a chunk up to buffer.Large, chunkTail
// for its end and the last chunk's.
const (
	chunkHead = 6
	chunkTail = 2 + 5
)

// buffered is a body that knows how much it can give at once, and whether it is at its end.
type buffered interface {
	Buffered() int
	Done() bool
}

// Bytes holds back content that is at hand, or writes it if it is large.
func (w *Writer) Bytes(b []byte) error {
	w.n += int64(len(b))
	if len(b) <= buffer.Medium {
		if err := w.room(len(b)); err != nil {
			return err
		}
		w.buf = append(w.buf, b...)
		return nil
	}
	if err := w.Flush(); err != nil {
		return err
	}
	_, err := w.dst.Write(b)
	return err
}

// String is Bytes for a string of at most 64 KiB.
func (w *Writer) String(s string) error {
	if err := w.room(len(s)); err != nil {
		return err
	}
	w.n += int64(len(s))
	w.text(s)
	return nil
}

// Copy writes the content of src, in chunks if told so, then the trailers, and
// flushes. What was read is sent before it waits for more, so a slow sender's
// bytes are not held back. It uses one pooled buffer, however long the body.
// Each error says by its type which side failed: *ReadError or a plain one.
func (w *Writer) Copy(src io.Reader, chunked bool, trailer *exchange.Header) error {
	if err := w.prepare(src); err != nil {
		return err
	}
	for {
		if w.waits(src) {
			if err := w.send(); err != nil {
				return err
			}
		}
		if w.buf == nil || cap(w.buf)-len(w.buf) < buffer.Small/2 {
			if err := w.send(); err != nil {
				return err
			}
			if err := w.room(buffer.Medium); err != nil {
				return err
			}
		}
		n, err := w.readInto(src, chunked)
		w.n += int64(n)
		if err == io.EOF {
			break
		}
		if err != nil {
			w.Flush() // what came before the failure is passed on, whatever becomes of it
			return &ReadError{err}
		}
	}
	if chunked {
		if err := w.end(trailer); err != nil {
			return err
		}
	}
	return w.Flush()
}

// ReadError is a failure of the body's source.
type ReadError struct{ Err error }

func (e *ReadError) Error() string { return e.Err.Error() }
func (e *ReadError) Unwrap() error { return e.Err }

// prepare chooses the buffer: a small one if all of a short body is at hand.
func (w *Writer) prepare(src io.Reader) error {
	if b, ok := src.(*Body); ok && b.kind == lengthBody && b.left < buffer.Small/2 {
		return w.room(int(b.left) + buffer.Small/2)
	}
	return w.room(buffer.Medium / 2)
}

// waits tells whether the next read may wait, while something is held back here.
func (w *Writer) waits(src io.Reader) bool {
	b, ok := src.(buffered)
	return len(w.buf) > 0 && (!ok || b.Buffered() == 0 && !b.Done())
}

// readInto reads once into the free end of the buffer, framed as a chunk.
func (w *Writer) readInto(src io.Reader, chunked bool) (int, error) {
	at := len(w.buf)
	if !chunked {
		n, err := src.Read(w.buf[at:cap(w.buf)])
		w.buf = w.buf[:at+n]
		return n, err
	}
	room := w.buf[at+chunkHead : cap(w.buf)-chunkTail]
	n, err := src.Read(room)
	if n == 0 {
		return 0, err
	}
	var size [chunkHead]byte
	s := append(strconv.AppendInt(size[:0], int64(n), 16), "\r\n"...)
	copy(w.buf[at:cap(w.buf)], s)
	if len(s) < chunkHead {
		copy(w.buf[at+len(s):cap(w.buf)], room[:n])
	}
	w.buf = append(w.buf[:at+len(s)+n], "\r\n"...)
	return n, err
}

// end writes the last chunk and the trailers.
func (w *Writer) end(trailer *exchange.Header) error {
	size := 0
	if trailer != nil {
		size = fieldsSize(trailer)
	}
	if err := w.room(size + 8); err != nil {
		return err
	}
	w.text("0\r\n")
	if trailer != nil {
		if err := w.fields(trailer); err != nil {
			return err
		}
	}
	w.text("\r\n")
	return nil
}
