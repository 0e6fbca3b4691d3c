package netconn

import (
	"errors"
	"net"
	"testing"
)

type around struct{ net.Conn }

func (w around) NetConn() net.Conn { return w.Conn }

type half struct {
	net.Conn
	closed bool
}

func (h *half) CloseWrite() error { h.closed = true; return nil }

func TestFind(t *testing.T) {
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	h := &half{Conn: a}
	c := net.Conn(around{around{h}})
	if got, ok := Find[*half](c); !ok || got != h {
		t.Errorf("%v %v", got, ok)
	}
	if got, ok := Find[around](c); !ok || got != c {
		t.Errorf("not the outermost of a kind: %v %v", got, ok)
	}
	if got, ok := Find[*net.TCPConn](c); ok || got != nil {
		t.Errorf("found what is not there: %v", got)
	}
}

func TestInnermost(t *testing.T) {
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	if got := Innermost(around{around{a}}); got != a {
		t.Errorf("%T", got)
	}
}

func TestCloseWrite(t *testing.T) {
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	h := &half{Conn: a}
	if err := CloseWrite(h); err != nil || !h.closed {
		t.Error(err, h.closed)
	}
	if err := CloseWrite(a); !errors.Is(err, errors.ErrUnsupported) {
		t.Error(err)
	}
}
