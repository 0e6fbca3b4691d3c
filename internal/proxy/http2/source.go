package http2

import (
	"errors"
	"os"
	"time"

	"github.com/usher-mesh/usher/internal/proxy/buffer"
)

// source reads the socket for the Framer. A deadline that others set to have the
// connection look around is not an end.
type source struct {
	c    *Conn
	buf  []byte
	r, w int
}

func (s *source) Read(p []byte) (int, error) {
	if s.r == s.w {
		if len(s.c.first) > 0 {
			n := copy(p, s.c.first)
			s.c.first = s.c.first[n:]
			return n, nil
		}
		n, err := s.fill()
		if err != nil {
			return 0, err
		}
		s.r, s.w = 0, n
	}
	n := copy(p, s.buf[s.r:s.w])
	s.r += n
	return n, nil
}

// size chooses the buffer by what the last read gave: a connection that waits for
// little holds little.
func (s *source) size() {
	want := cap(s.buf)
	switch {
	case s.buf == nil || s.w < buffer.Small/4:
		want = buffer.Small
	case s.w == len(s.buf):
		want = buffer.Medium
	}
	if want != cap(s.buf) {
		buffer.Put(s.buf)
		s.buf = buffer.Get(want)[:want]
	}
}

func (s *source) fill() (int, error) {
	c := s.c
	s.size()
	for {
		n, err := c.nc.Read(s.buf)
		if n > 0 {
			return n, nil
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return 0, err
		}
		c.mu.Lock()
		ending := c.ending
		if !ending {
			c.nc.SetReadDeadline(time.Time{})
		}
		c.mu.Unlock()
		if ending {
			return 0, err
		}
		if c.h != nil {
			c.look()
		}
	}
}
