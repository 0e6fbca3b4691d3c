package listener

import (
	"context"
	ctls "crypto/tls"
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/usher-mesh/usher/internal/proxy/deadline"
	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/hcm"
	"github.com/usher-mesh/usher/internal/proxy/tls"
)

// conn is one accepted connection.
type conn struct {
	l     *Listener
	raw   *deadline.Conn
	facts facts
	// Of one that another listener has accepted: what was read of it there.
	first  []byte
	handed bool
	passed bool                  // it was handed on, and is another's to close
	state  *ctls.ConnectionState // nil in clear
	// foreign is exchange.Conn.Foreign, as of the handshake.
	foreign bool

	// What the chain was when the spec was looked at last. Once requests are served,
	// standing alone touches them, under its lock: streams of HTTP/2 that last ask too.
	judging sync.Mutex
	spec    *Spec
	chain   *chain

	stale  atomic.Bool // something that the chain's choice rests on has changed since
	expiry *time.Timer // when the peer's certificates end; nil: never

	entered []*connectionLimit // that have counted it
	closed  func()             // counts its end; nil: its begin was not counted

	mu      sync.Mutex
	idle    bool
	lasting []*lasting // what goes on without further requests; others ask by themselves
}

// wake has the connection judged again: now if it is idle or lasting, else before
// its next request.
func (c *conn) wake() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stale.Store(true)
	if c.idle {
		c.raw.SetReadDeadline(time.Unix(1, 0))
	}
	for _, l := range c.lasting {
		l.ask()
	}
}

// last is hcm.Connection.Last. While the listener drains, what is under way goes on.
func (c *conn) last(judge func() (time.Time, bool), until time.Time, end func()) (stop func()) {
	l := newLasting(func() (time.Time, bool) {
		if c.l.draining.Load() && !c.l.spec.Load().deny {
			return time.Time{}, true
		}
		return judge()
	}, end, c.l.spec.Load().log)
	c.mu.Lock()
	c.lasting = append(c.lasting, l)
	changed := c.stale.Load()
	c.mu.Unlock()
	if changed {
		l.ask()
	} else {
		l.mu.Lock()
		l.arm(until)
		l.mu.Unlock()
	}
	return func() {
		c.mu.Lock()
		c.lasting = slices.DeleteFunc(c.lasting, func(x *lasting) bool { return x == l })
		c.mu.Unlock()
		l.stop()
	}
}

func (c *conn) setIdle(idle bool) {
	c.mu.Lock()
	c.idle = idle
	c.mu.Unlock()
}

// serve serves the connection to its end. Its frame, and those below it that wait for the
// next request, are small: then half of a waiting connection's stack is given back.
func (c *conn) serve() {
	c.spec = c.l.use()
	defer c.end()
	nc, first, info := c.open(c.spec)
	switch {
	case nc == nil:
	case c.chain.tcp != nil:
		c.chain.tcp.serve(c, nc, first, info)
	default:
		hcm.Serve(c.l.ctx, c.requests(nc, first, info))
	}
}

// end lets go of what open took.
func (c *conn) end() {
	for _, limit := range c.entered {
		limit.leave()
	}
	if c.closed != nil {
		c.closed()
	}
	if c.expiry != nil {
		c.expiry.Stop()
	}
	c.spec.release()
}

func (c *conn) requests(nc net.Conn, first []byte, info *exchange.Conn) *hcm.Connection {
	return &hcm.Connection{Conn: nc, Prefix: first, Info: info, Current: c.current, Draining: c.draining, Idle: c.setIdle, Last: c.last}
}

// open does what comes before the first byte of the application: it finds the chain and
// gives the connection to serve, nil if there is none, and what was read of it.
func (c *conn) open(s *Spec) (nc net.Conn, first []byte, info *exchange.Conn) {
	if !c.handed {
		c.addresses()
	}
	var tlvs []exchange.TLV
	if first = c.first; s.told != nil {
		t, err := s.told.read(&prefixed{Conn: c.raw, first: first}, s.timeout)
		if err != nil {
			s.log.Debug("no PROXY protocol", "listener", s.Name, "peer", c.facts.direct, "error", err)
			return nil, nil, nil
		}
		if first, tlvs = t.first, t.tlvs; t.remote.IsValid() {
			c.facts.remote, c.facts.local = t.remote, t.local
		}
	}
	c.restore(s)
	if to := c.heir(s); to != nil {
		to.inherit(c, first)
		return nil, nil, nil
	}
	if s.inspect {
		in, err := inspect(&prefixed{Conn: c.raw, first: first}, s.hello, s.timeout)
		if err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				s.stats.PreTimeout.Inc()
			}
			return nil, nil, nil
		}
		c.facts.transport, c.facts.sni, c.facts.alpn, first = in.transport, in.sni, in.alpn, in.first
	}
	c.chain = s.find(c.facts)
	if c.chain == nil {
		s.stats.NoChain.Inc()
		s.log.Debug("no filter chain for the connection", "listener", s.Name, "transport", c.facts.transport)
		return nil, nil, nil
	}
	c.closed = s.stats.opened()
	for _, limit := range c.chain.limit {
		if !limit.enter(c.l.ctx) {
			s.log.Debug("too many connections", "listener", s.Name, "peer", c.facts.direct)
			return nil, nil, nil
		}
		c.entered = append(c.entered, limit)
	}
	info = &exchange.Conn{ID: exchange.NextID(), Place: c.chain.place, Remote: c.facts.remote, Direct: c.facts.direct, Local: c.facts.local, Accepted: c.facts.accepted, SNI: c.facts.sni, TLVs: tlvs}
	nc = c.raw
	if c.chain.tls != nil {
		t, err := c.handshake(first, info)
		if err != nil {
			if errors.Is(err, context.DeadlineExceeded) {
				s.stats.ShakeTimeout.Inc()
			}
			s.tlsStats.Error.Inc()
			s.log.Debug("TLS handshake failed", "listener", s.Name, "peer", info.Remote, "error", err)
			return nil, nil, nil
		}
		s.tlsStats.Handshake.Inc()
		if c.state.DidResume {
			s.tlsStats.Resumed.Inc()
		}
		if len(c.state.PeerCertificates) == 0 {
			s.tlsStats.NoCertificate.Inc()
		}
		nc, first = t, nil
	}
	return nc, first, info
}

// addresses notes the ends of the connection.
func (c *conn) addresses() {
	c.facts.accepted, c.facts.remote = addrPort(c.raw.LocalAddr()), addrPort(c.raw.RemoteAddr())
	c.facts.local, c.facts.direct = c.facts.accepted, c.facts.remote
}

// restore puts the destination that the connection had before a redirect in place of its
// own address, which it keeps if it was not redirected.
func (c *conn) restore(s *Spec) {
	if !s.restores {
		return
	}
	own := netip.AddrPortFrom(c.facts.accepted.Addr().WithZone(""), c.facts.accepted.Port())
	if to, ok := originalDst(c.raw.NetConn(), own); ok && to != own {
		c.facts.local = to
	}
}

// draining tells whether the client is to leave.
func (c *conn) draining() bool {
	if c.l.draining.Load() {
		return true
	}
	s := c.l.spec.Load()
	return s.unwell != nil && s.unwell()
}

// handshake accepts TLS as the chain says, and notes who the peer is.
func (c *conn) handshake(first []byte, info *exchange.Conn) (net.Conn, error) {
	under := net.Conn(c.raw)
	if len(first) > 0 {
		under = &prefixed{Conn: c.raw, first: first}
	}
	t := ctls.Server(under, c.chain.tls.Config())
	ctx, cancel := context.WithTimeout(tls.Noting(context.Background(), &info.Shown), c.chain.wait)
	defer cancel()
	if err := t.HandshakeContext(ctx); err != nil {
		return nil, err
	}
	state := t.ConnectionState()
	c.state, c.foreign = &state, c.chain.tls.Foreign()
	info.TLS, info.SNI, info.ALPN = true, state.ServerName, state.NegotiatedProtocol
	info.Version, info.Cipher, info.Group, info.Chain = state.Version, state.CipherSuite, state.CurveID, state.PeerCertificates
	if len(state.PeerCertificates) > 0 { // Verify let it in, so it was verified
		c.expiry = time.AfterFunc(lapse(tls.Ends(state.PeerCertificates)), c.wake)
		info.Peer, info.Foreign = state.PeerCertificates[0], c.chain.tls.Foreign()
		if len(info.Peer.URIs) == 1 && !info.Foreign {
			info.PeerURI = info.Peer.URIs[0].String()
		}
	}
	return t, nil
}

// current gives the manager in force, nil if the connection must end: there is no
// chain for it any more.
func (c *conn) current() *hcm.Manager {
	if ch := c.standing(); ch != nil {
		return ch.http
	}
	return nil
}

// standing gives the chain in force, nil if there is none for the connection any
// more, or one whose TLS context would not let this peer in now.
func (c *conn) standing() *chain {
	c.judging.Lock()
	defer c.judging.Unlock()
	stale := c.stale.Load() && c.stale.Swap(false)
	if stale || c.l.spec.Load() != c.spec {
		c.spec.release()
		c.spec = c.l.use()
		c.chain = c.again(c.spec)
	}
	return c.chain
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
	if ch == nil || (ch.tls != nil) != (c.state != nil) {
		return nil
	}
	if ch.tls == nil {
		return ch
	}
	if ch.tls.Foreign() != c.foreign { // what the peer was taken for does not hold
		return nil
	}
	until, err := ch.tls.Verify(*c.state)
	if err != nil {
		s.log.Debug("the peer of a connection is not trusted any more", "listener", s.Name, "peer", c.raw.RemoteAddr(), "error", err)
		return nil
	}
	if c.expiry != nil {
		c.expiry.Reset(lapse(until))
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
