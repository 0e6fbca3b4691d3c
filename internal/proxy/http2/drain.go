package http2

import (
	"time"

	xh2 "golang.org/x/net/http2"
)

// Going is how a server's connection goes on.
type Going int

const (
	// Stays: nothing has changed.
	Stays Going = iota
	// Drains: it ends in good order, without a request that is on its way lost.
	Drains
	// Ends: nothing is begun any more.
	Ends
)

// lastStream is the highest stream that there can be.
const lastStream = 1<<31 - 1

// drainPing is what a client echoes once it has read the first GOAWAY.
var drainPing = [8]byte{'d', 'r', 'a', 'i', 'n'}

// look asks the handler how the connection goes on.
func (c *Conn) look() {
	switch c.h.Woken() {
	case Drains:
		c.mu.Lock()
		defer c.mu.Unlock()
		c.drain()
	case Ends:
		c.Shutdown()
	}
}

// drain ends a connection in good order (RFC 9113, 6.8): a GOAWAY that names the
// highest stream has the client begin nothing more; what it began before that is
// served. The GOAWAY that names the last one follows when the client has echoed a
// PING, or after DrainTime. The lock is held.
func (c *Conn) drain() {
	if !c.drainBy.IsZero() || c.leaving || c.err != nil {
		return
	}
	c.drainBy = time.Now().Add(c.o.DrainTime)
	c.sendGoAway(lastStream, xh2.ErrCodeNo)
	c.sendPing(false, drainPing)
	c.watch()
}
