package upstream

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"syscall"
	"time"

	ctls "crypto/tls"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"

	"github.com/usher-mesh/usher/internal/proxy/deadline"
	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/tls"
)

// ErrOverflow is a cluster at its circuit breaker (503, UO).
var ErrOverflow = errors.New("overflow")

// ErrForbidden is a destination that Options.DialAllowed refuses.
var ErrForbidden = errors.New("destination not allowed")

// Host is one endpoint with the connections that are open to it.
type Host struct {
	Addr netip.AddrPort // not valid if name is to be resolved at each connection
	Text string         // "ip:port" or "name:port", for logs
	// Name is the endpoint's hostname, for auto_host_rewrite and SNI.
	Name   string
	others []netip.AddrPort // further addresses; none but of LOGICAL_DNS

	// Counts is what happened to it.
	Counts HostCounts

	cluster *Cluster
	key     hostKey
	socket  *tls.Upstream // nil: in clear
	name    string        // to be resolved, of a dynamic cluster
	port    uint16
	active  atomic.Int64
	open    atomic.Int64 // connections that are bounded
	flags   flags
	monitor *monitor // nil: outliers are not looked for
	session *session // nil: it is not checked
	// metadata is the endpoint's as the last assignment has it.
	metadata atomic.Pointer[corev3.Metadata]
	gone     bool // the cluster has it no more; guarded by the cluster's lock

	pool pool
	// apart has connections of HTTP/2 where the cluster speaks what clients do: requests of
	// HTTP/1.1 can use none of them, and are not to wait for them.
	apart   pool
	high    atomic.Pointer[[2]pool] // the same for requests of priority High; nil before the first of them
	drained atomic.Bool
	clients *clients  // nil: connections do not tell for whom they are
	used    time.Time // of a host that requests or connections have named
}

// hostKey tells whether an endpoint of a new assignment is the same as before.
type hostKey struct {
	addr   netip.AddrPort
	name   string
	others string // further addresses of it, each with a space behind
	socket int    // index of the transport socket match, -1 for the default
	tlvs   string // that its metadata adds to the PROXY protocol, encoded
	// health_check_config
	check     netip.AddrPort // where active health checks go, if elsewhere
	checkName string         // what they name the host
	unchecked bool           // they do not concern it
}

// From is what of a request decides which connections it may have.
type From struct {
	Major    int            // the version of HTTP that the client speaks
	Client   *exchange.Conn // nil: the proxy itself
	Priority Priority
}

// TLS tells whether connections to the host are encrypted.
func (h *Host) TLS() bool { return h.socket != nil }

// Get gives a connection to the host for one request: an idle one unless fresh
// is asked for, else a new one, made before the deadline (zero: none).
func (h *Host) Get(ctx context.Context, deadline time.Time, fresh bool, from From) (*Conn, error) {
	c, major := h.cluster, from.Major
	p, err := h.hold(from)
	if err != nil {
		return nil, err
	}
	defer p.letGo()
	if err := h.beginActive(from.Priority); err != nil {
		return nil, err
	}
	if c.speaks == byALPN && !fresh {
		if conn := h.takeIdle(p); conn != nil {
			return conn, nil
		}
	}
	if !fresh && !c.speaks.shares(major) {
		if conn := h.takeIdle(p); conn != nil {
			return conn, nil
		}
	}
	if c.speaks.shares(major) { // without what a wait takes: most find one
		if conn := h.freeStream(p); conn != nil {
			return conn, nil
		}
	}
	if !deadline.IsZero() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline)
		defer cancel()
	}
	if c.speaks.shares(major) {
		conn, err := h.openStream(ctx, p, false)
		if err != nil {
			h.refused(ctx, from.Priority, err)
		}
		return conn, err
	}
	err = h.beginPending(from.Priority, true)
	var conn *Conn
	if err == nil {
		conn, err = h.connect(ctx, p)
		h.endPending(from.Priority)
		if err != nil && err != ErrOverflow && err != ErrBusy && ctx.Err() == nil {
			c.Counts.RqEjected.Inc()
		}
	}
	if err != nil {
		h.refused(ctx, from.Priority, err)
		return nil, err
	}
	return conn, nil
}

// refused ends a request that has got no connection.
func (h *Host) refused(ctx context.Context, of Priority, err error) {
	h.endActive(of)
	if err == ErrBusy {
		h.cluster.Counts.CxOverflow.Inc()
	}
	h.cancelled(ctx)
}

// cancelled counts a request that did not wait on for a connection.
func (h *Host) cancelled(ctx context.Context) {
	if ctx.Err() != nil {
		h.cluster.Counts.RqCancelled.Inc()
	}
}

// beginActive counts a request; ErrOverflow if there are too many. endActive ends it.
func (h *Host) beginActive(of Priority) error {
	b := h.breaker(of)
	if n := b.active.Add(1); n > b.maxRequests {
		b.active.Add(-1)
		h.cluster.Counts.RqOverflow.Inc()
		return ErrOverflow
	}
	h.active.Add(1)
	return nil
}

func (h *Host) endActive(of Priority) {
	h.active.Add(-1)
	h.breaker(of).active.Add(-1)
}

func (h *Host) takeIdle(p *pool) *Conn {
	generation := h.cluster.recycle.Load()
	for {
		p.mu.Lock()
		n := len(p.idle)
		if n == 0 {
			p.mu.Unlock()
			return nil
		}
		conn := p.idle[n-1]
		p.idle[n-1] = nil
		p.idle = p.idle[:n-1]
		p.mu.Unlock()
		if conn.generation == generation && (h.cluster.maxAge == 0 || !conn.expired(h.cluster.opts.Now())) {
			conn.Reused = true
			return conn
		}
		conn.close()
	}
}

func (h *Host) connect(ctx context.Context, p *pool) (*Conn, error) {
	generation := h.cluster.recycle.Load()
	nc, err := h.dialRequests(ctx, p, http1ALPN)
	if err != nil {
		return nil, err
	}
	return newConn(h, p, nc, generation), nil
}

// ConnectError is a connection that could not be made.
type ConnectError struct {
	Timeout bool
	TLS     bool // the handshake failed
	Err     error
}

func (e *ConnectError) Error() string { return "connect: " + e.Err.Error() }
func (e *ConnectError) Unwrap() error { return e.Err }

// Dial opens a connection of the proxy's own, TLS included, outside the pool and its bounds.
// Errors are *ConnectError.
func (h *Host) Dial(ctx context.Context) (net.Conn, error) {
	return h.own(h.dial(ctx, &h.pool, nil, http1ALPN))
}

// own has a connection counted whose bytes no codec of ours counts.
func (h *Host) own(nc net.Conn, err error) (net.Conn, error) {
	if err != nil {
		return nil, err
	}
	return h.cluster.Counts.traffic(nc), nil
}

// DialHTTP2 is Dial for HTTP/2.
func (h *Host) DialHTTP2(ctx context.Context) (net.Conn, error) {
	return h.own(h.dial(ctx, &h.pool, nil, http2ALPN))
}

// Connect opens a connection for a client, nil for the proxy itself, within max_connections
// (ErrOverflow), whose end outlier detection hears: nothing follows that would tell more.
func (h *Host) Connect(ctx context.Context, client *exchange.Conn, of Priority) (net.Conn, error) {
	p, err := h.hold(From{Major: 1, Client: client, Priority: of})
	if err != nil {
		return nil, err
	}
	defer p.letGo()
	nc, err := h.dialAlone(ctx, p)
	var c *ConnectError
	switch {
	case err == ErrOverflow:
	case err == nil:
		h.Established()
	case ctx.Err() != nil: // whoever asked is gone
	case errors.As(err, &c) && c.Timeout:
		h.TimedOut()
	default:
		h.Failed()
	}
	return nc, err
}

// dialAlone is dial within max_connections, for what is no request: the connection counts
// until it is closed.
func (h *Host) dialAlone(ctx context.Context, p *pool) (net.Conn, error) {
	of := p.key.priority
	if !h.findRoom(of) {
		h.cluster.Counts.CxOverflow.Inc()
		return nil, ErrOverflow
	}
	return h.own(h.dial(ctx, p, func() { h.disconnected(of) }, http1ALPN))
}

// dial opens a connection for a pool. Ended is called when there is none, or when it is
// closed; nil: nobody is told.
func (h *Host) dial(ctx context.Context, p *pool, ended func(), protocols ...string) (net.Conn, error) {
	c := h.cluster
	ctx, cancel := context.WithTimeout(ctx, c.connectTimeout)
	defer cancel()
	began := c.opts.Now()
	h.Counts.CxTotal.Add(1)
	c.Counts.CxTotal.Inc()
	if !c.used.Load() {
		c.used.Store(true)
	}
	if c.alpn != nil {
		protocols = c.alpn
	}
	raw, err := h.dialRaw(ctx)
	if err == nil && h.clients != nil {
		err = h.clients.tell(ctx, raw, p)
	}
	if err != nil {
		if ended != nil {
			ended()
		}
		h.unconnected(errors.Is(err, context.DeadlineExceeded) || isTimeout(err))
		return nil, &ConnectError{Timeout: errors.Is(err, context.DeadlineExceeded) || isTimeout(err), Err: err}
	}
	under := h.counted(raw, p, ended)
	under.about.Begun, under.about.Connected = began, c.opts.Now()
	nc := net.Conn(deadline.New(under))
	if h.socket == nil {
		c.Counts.CxConnect.Observe(float64(under.about.Connected.Sub(began).Milliseconds()))
		return nc, nil
	}
	config, own := h.socket.Config(h.Name, protocols...)
	t := ctls.Client(nc, config)
	under.about.TLS, under.about.Shown = t, own
	if err := t.HandshakeContext(ctx); err != nil {
		nc.Close()
		h.unconnected(errors.Is(err, context.DeadlineExceeded))
		c.Counts.HandshakeError.Inc()
		return nil, &ConnectError{Timeout: errors.Is(err, context.DeadlineExceeded), TLS: true, Err: err}
	}
	under.about.Secured = c.opts.Now()
	c.Counts.Handshake.Inc()
	c.Counts.CxConnect.Observe(float64(under.about.Secured.Sub(began).Milliseconds()))
	return t, nil
}

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}

func (h *Host) dialRaw(ctx context.Context) (*net.TCPConn, error) {
	if len(h.others) > 0 {
		return h.dialAny(ctx)
	}
	c := h.cluster
	d := c.dialer
	if c.bind.IsValid() {
		d.LocalAddr = &net.TCPAddr{IP: c.bind.AsSlice()}
	}
	if h.name == "" {
		return tcp(d.DialContext(ctx, "tcp", h.Text))
	}
	addrs, err := c.resolver().LookupNetIP(ctx, "ip", h.name)
	if err != nil {
		return nil, err
	}
	err = errors.New("the name has no address")
	for _, a := range c.family(addrs) {
		to := netip.AddrPortFrom(a.Unmap(), h.port)
		if guard := c.opts.DialAllowed; guard != nil {
			if e := guard(to); e != nil {
				err = fmt.Errorf("%w: %w", ErrForbidden, e)
				continue
			}
		}
		if c.bind.IsValid() && c.bind.Is4() != to.Addr().Is4() {
			d.LocalAddr = nil
		}
		var nc *net.TCPConn
		if nc, err = tcp(d.DialContext(ctx, "tcp", to.String())); err == nil {
			return nc, nil
		}
	}
	return nil, err
}

func tcp(nc net.Conn, err error) (*net.TCPConn, error) {
	if err != nil {
		return nil, err
	}
	return nc.(*net.TCPConn), nil
}

// Refused tells whether nobody listens at the endpoint.
func Refused(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }

// drain closes idle connections now, and others once their request is done.
func (h *Host) drain() {
	h.drained.Store(true)
	for _, p := range h.ownPools() {
		p.drain()
	}
	if h.clients != nil {
		h.clients.drain()
	}
}

func (h *Host) closeIdle() {
	for _, p := range h.ownPools() {
		p.closeIdle()
	}
	if h.clients != nil {
		for _, p := range h.clients.all() {
			p.closeIdle()
		}
	}
}
