package hcm

import (
	"io"
	"net"
	"time"

	"github.com/usher-mesh/usher/internal/proxy/netconn"
	"github.com/usher-mesh/usher/internal/proxy/tunnel"
)

// What is read of a request that nobody wants any more, at most. A client is heard
// as long as it sends on: one that uploads slowly is to learn why it was refused.
const (
	lingerBytes = 256 << 10
	lingerTime  = 5 * time.Second
)

// linger ends a connection so that the client can read the answer although it is
// still sending: the kernel would reset it, and drop the answer, if unread bytes
// were there at close (RFC 9112, 9.6). After a silence of delayed_close_timeout it is closed.
func (s *session) linger() {
	if s.truncated {
		tunnel.Reset(s.nc)
		return
	}
	if netconn.CloseWrite(s.nc) != nil || s.m == nil || s.m.delayedClose <= 0 {
		return
	}
	_, _ = io.CopyN(io.Discard, &lingering{s.nc, s.m.delayedClose, time.Now().Add(lingerTime)}, lingerBytes)
}

// lingering reads until a silence, or the end.
type lingering struct {
	nc      net.Conn
	silence time.Duration
	end     time.Time
}

func (l *lingering) Read(b []byte) (int, error) {
	until := time.Now().Add(l.silence)
	if l.end.Before(until) {
		until = l.end
	}
	l.nc.SetReadDeadline(until)
	return l.nc.Read(b)
}
