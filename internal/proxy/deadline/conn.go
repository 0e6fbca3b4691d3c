// Package deadline makes it cheap to move the deadlines of a connection, which a
// proxy does several times a request and which are nearly never reached. It knows
// no protocol and no timeout of its own.
package deadline

import (
	"errors"
	"net"
	"os"
	"sync"
	"time"

	"github.com/usher-mesh/usher/internal/proxy/netconn"
)

// Conn is a connection whose deadlines are armed late. A deadline that moves to a
// later time is only noted: the one that is armed passes first, and who waits then
// arms the later one and waits on. One that moves to an earlier time is armed at
// once. So it keeps the contract of net.Conn, from several goroutines too.
type Conn struct {
	net.Conn
	read, write limit
	late        late
}

// New wraps a connection, below TLS if there is any.
func New(c net.Conn) *Conn {
	d := &Conn{Conn: c}
	d.late.init(c)
	return d
}

// NetConn gives the connection itself, whose deadlines are not to be touched.
func (c *Conn) NetConn() net.Conn { return c.Conn }

// CloseWrite passes the half-close on.
func (c *Conn) CloseWrite() error { return netconn.CloseWrite(c.Conn) }

// SetReadDeadline implements net.Conn.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.read.move(t, c.Conn.SetReadDeadline) }

// SetWriteDeadline implements net.Conn.
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.write.move(t, c.Conn.SetWriteDeadline) }

// SetDeadline implements net.Conn.
func (c *Conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// Read implements net.Conn.
func (c *Conn) Read(b []byte) (int, error) {
	for {
		n, err := c.Conn.Read(b)
		if n > 0 || err == nil || !errors.Is(err, os.ErrDeadlineExceeded) || c.read.passed(c.Conn.SetReadDeadline) {
			return n, err
		}
	}
}

// Write implements net.Conn.
func (c *Conn) Write(b []byte) (int, error) {
	n := 0
	for {
		k, err := c.Conn.Write(b[n:])
		n += k
		if err == nil || !errors.Is(err, os.ErrDeadlineExceeded) || c.write.passed(c.Conn.SetWriteDeadline) {
			return n, err
		}
	}
}

// limit is the deadline of one direction. Zero times are no deadline.
type limit struct {
	mu    sync.Mutex
	want  time.Time
	armed time.Time // never after want
}

// move makes t the deadline.
func (l *limit) move(t time.Time, arm func(time.Time) error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.want = t
	if !l.armed.IsZero() && (t.IsZero() || !t.Before(l.armed)) {
		return nil
	}
	l.armed = t
	return arm(t)
}

// passed tells whether the deadline has passed, now that the armed one has. If not
// it is armed.
func (l *limit) passed(arm func(time.Time) error) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.want.IsZero() && !time.Now().Before(l.want) {
		return true
	}
	l.armed = l.want
	return arm(l.want) != nil
}
