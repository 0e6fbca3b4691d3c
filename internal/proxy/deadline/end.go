package deadline

import (
	"errors"
	"os"
	"syscall"
)

// AwaitEnd waits until the peer has closed its side or reset the connection, or until it is
// closed here, and uses up nothing of what the peer has sent. It returns false when the read
// deadline has passed, or if that cannot be seen. Nobody else may read meanwhile.
func (c *Conn) AwaitEnd() (ended bool) {
	raw := c.late.raw
	if raw == nil {
		return false
	}
	for {
		err := raw.Read(func(fd uintptr) (done bool) {
			ended, done = look(int(fd))
			return done
		})
		switch {
		case err == nil:
			return ended
		case !errors.Is(err, os.ErrDeadlineExceeded):
			return true
		case c.read.passed(c.Conn.SetReadDeadline):
			return false
		}
	}
}

// look tells whether the peer has ended, and whether there is nothing to wait for.
func look(fd int) (ended, done bool) {
	var b [1]byte
	n, _, err := syscall.Recvfrom(fd, b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
	switch {
	case err == syscall.EAGAIN || err == syscall.EINTR:
		return false, false
	case err != nil || n <= 0:
		return true, true
	}
	return closing(fd) // there is something to read; the end may stand behind it
}
