package deadline

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
)

// Buffers gives buffers and takes them back.
type Buffers interface {
	Get() []byte
	Put([]byte)
}

// late is a read that takes its buffer when there is something to read, or one that
// does not wait.
type late struct {
	raw  syscall.RawConn
	try  func(fd uintptr) bool // (*late).read, made once
	now  func(fd uintptr) bool // (*late).readNow
	from Buffers
	buf  []byte
	n    int
	err  error
}

func (l *late) init(c net.Conn) {
	if s, ok := c.(syscall.Conn); ok {
		if raw, err := s.SyscallConn(); err == nil {
			l.raw, l.try, l.now = raw, l.read, l.readNow
		}
	}
}

// ReadLate is Read into a buffer that is taken from b once there is something to
// read, so that a connection that waits holds none. The first n bytes of buf were
// read; buf is nil if there are none.
func (c *Conn) ReadLate(b Buffers) (buf []byte, n int, err error) {
	l := &c.late
	if l.raw == nil {
		buf = b.Get()
		if n, err = c.Read(buf); n == 0 {
			b.Put(buf)
			return nil, 0, err
		}
		return buf, n, err
	}
	l.from, l.buf, l.n, l.err = b, nil, 0, nil
	for {
		err = l.raw.Read(l.try)
		if err == nil || !errors.Is(err, os.ErrDeadlineExceeded) || c.read.passed(c.Conn.SetReadDeadline) {
			break
		}
	}
	if err == nil {
		err = l.err
	}
	buf, n, l.buf = l.buf, l.n, nil
	return buf, n, err
}

// ReadNow reads what is there without waiting; 0 if there is nothing, or nothing that
// can be read so. How the connection fares a later Read tells.
func (c *Conn) ReadNow(b []byte) int {
	l := &c.late
	if l.raw == nil || len(b) == 0 {
		return 0
	}
	l.buf, l.n = b, 0
	_ = l.raw.Read(l.now)
	l.buf = nil
	return l.n
}

func (l *late) readNow(fd uintptr) bool {
	n, err := syscall.Read(int(fd), l.buf)
	if err == nil {
		l.n = n
	}
	return true
}

// read reads once; false if there is nothing.
func (l *late) read(fd uintptr) bool {
	buf := l.from.Get()
	n, err := syscall.Read(int(fd), buf)
	for err == syscall.EINTR {
		n, err = syscall.Read(int(fd), buf)
	}
	if n > 0 {
		l.buf, l.n = buf, n
		return true
	}
	l.from.Put(buf)
	switch err {
	case syscall.EAGAIN:
		return false
	case nil:
		l.err = io.EOF
	default:
		l.err = os.NewSyscallError("read", err)
	}
	return true
}
