package http1

import (
	"bytes"
	"io"
	"testing"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
)

// sized is a body of another protocol, that gives a piece a read, then its end.
type sized struct {
	pieces []string
	known  bool // the end has come with the last piece
}

func (s *sized) Buffered() int { return 0 }
func (s *sized) Done() bool    { return s.known && len(s.pieces) == 0 }
func (s *sized) Read(b []byte) (int, error) {
	if len(s.pieces) == 0 {
		return 0, io.EOF
	}
	n := copy(b, s.pieces[0])
	s.pieces = s.pieces[1:]
	return n, nil
}

type writes struct {
	n int
	bytes.Buffer
}

func (w *writes) Write(b []byte) (int, error) {
	w.n++
	return w.Buffer.Write(b)
}

// TestCopyEnd holds that the last piece and the end of the content go by one write, if it is
// known to be the last one, and that a piece is not held back otherwise.
func TestCopyEnd(t *testing.T) {
	for _, tt := range []struct {
		known bool
		n     int
	}{{true, 2}, {false, 3}} {
		var dst writes
		w := NewWriter(&dst)
		if err := w.Copy(&sized{[]string{"one", "two"}, tt.known}, true, &exchange.Header{}); err != nil {
			t.Fatal(err)
		}
		if got := dst.String(); got != "3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n" || dst.n != tt.n {
			t.Errorf("known %v: %q by %d writes", tt.known, got, dst.n)
		}
	}
}
