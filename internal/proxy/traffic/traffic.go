// Package traffic counts the bytes that connections carry. It knows no protocol, and not
// what the counters are called.
package traffic

import (
	"net"

	"github.com/usher-mesh/usher/internal/proxy/counters"
	"github.com/usher-mesh/usher/internal/proxy/netconn"
)

// Conn is a connection whose bytes are counted, above TLS if there is any.
type Conn struct {
	net.Conn
	Received, Sent *counters.Counter
}

// NetConn gives the connection itself.
func (c *Conn) NetConn() net.Conn { return c.Conn }

// Read implements net.Conn.
func (c *Conn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 {
		c.Received.Add(uint64(n))
	}
	return n, err
}

// Write implements net.Conn.
func (c *Conn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	if n > 0 {
		c.Sent.Add(uint64(n))
	}
	return n, err
}

// CloseWrite passes the half-close on.
func (c *Conn) CloseWrite() error { return netconn.CloseWrite(c.Conn) }
