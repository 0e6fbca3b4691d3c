package listener

import (
	"context"
	"crypto/tls"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/hcm"
)

// conn is one accepted connection.
type conn struct {
	l     *Listener
	raw   net.Conn
	facts facts
	state *tls.ConnectionState // nil in clear

	// What the chain was when the spec was looked at last; touched by the
	// connection's goroutine alone.
	spec  *Spec
	chain *chain

	mu   sync.Mutex
	idle bool
}

// wake interrupts the wait for the next request, not a request.
func (c *conn) wake() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.idle {
		c.raw.SetReadDeadline(time.Unix(1, 0))
	}
}

func (c *conn) setIdle(idle bool) {
	c.mu.Lock()
	c.idle = idle
	c.mu.Unlock()
}

func (c *conn) serve() {
	s := c.l.use()
	c.spec = s
	defer func() { c.spec.release() }()
	c.facts.local = addrPort(c.raw.LocalAddr())
	var first []byte
	if s.inspect {
		in, err := inspect(c.raw, s.hello, s.timeout)
		if err != nil {
			return
		}
		c.facts.transport, c.facts.sni, c.facts.alpn, first = in.transport, in.sni, in.alpn, in.first
	}
	c.chain = s.find(c.facts)
	if c.chain == nil {
		s.log.Debug("no filter chain for the connection", "listener", s.Name, "transport", c.facts.transport)
		return
	}
	info := &exchange.Conn{Remote: addrPort(c.raw.RemoteAddr()), Local: c.facts.local, Original: c.facts.local, SNI: c.facts.sni}
	nc := c.raw
	if c.chain.tls != nil {
		t, err := c.handshake(first, info)
		if err != nil {
			s.log.Debug("TLS handshake failed", "listener", s.Name, "peer", info.Remote, "error", err)
			return
		}
		nc, first = t, nil
	}
	if c.chain.tcp != nil {
		c.chain.tcp.serve(c.l.ctx, nc, first, info)
		return
	}
	hcm.Serve(c.l.ctx, &hcm.Connection{Conn: nc, Prefix: first, Info: info, Current: c.current, Idle: c.setIdle})
}

// handshake accepts TLS as the chain says, and notes who the peer is.
func (c *conn) handshake(first []byte, info *exchange.Conn) (net.Conn, error) {
	under := c.raw
	if len(first) > 0 {
		under = &prefixed{Conn: c.raw, first: first}
	}
	t := tls.Server(under, c.chain.tls.Config())
	ctx, cancel := context.WithTimeout(context.Background(), c.chain.wait)
	defer cancel()
	if err := t.HandshakeContext(ctx); err != nil {
		return nil, err
	}
	state := t.ConnectionState()
	c.state = &state
	info.TLS, info.SNI, info.ALPN = true, state.ServerName, state.NegotiatedProtocol
	if len(state.PeerCertificates) > 0 { // Verify let it in, so it was verified
		info.Peer = state.PeerCertificates[0]
		if len(info.Peer.URIs) == 1 {
			info.PeerURI = info.Peer.URIs[0].String()
		}
	}
	return t, nil
}

// current gives the manager in force, nil if the connection must end: the
// listener drains, or its spec has no chain for it any more, or one whose TLS
// context would not have let this peer in.
func (c *conn) current() *hcm.Manager {
	if c.l.ctx.Err() != nil {
		return nil
	}
	if c.l.spec.Load() != c.spec {
		c.spec.release()
		c.spec = c.l.use()
		c.chain = c.again(c.spec)
	}
	if c.chain == nil {
		return nil
	}
	return c.chain.http
}

func (c *conn) again(s *Spec) *chain {
	if s.deny {
		return nil
	}
	f := c.facts
	if f.transport == "" && s.inspect { // nobody looked when it was accepted
		f.transport = "raw_buffer"
		if c.state != nil {
			f.transport, f.sni = "tls", c.state.ServerName
			f.alpn = []string{c.state.NegotiatedProtocol}
		}
	}
	ch := s.find(f)
	if ch == nil || ch.http == nil || (ch.tls != nil) != (c.state != nil) {
		return nil
	}
	if ch.tls != nil && ch.tls.Verify(*c.state) != nil {
		return nil
	}
	return ch
}

func addrPort(a net.Addr) netip.AddrPort {
	t, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	ap := t.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}
