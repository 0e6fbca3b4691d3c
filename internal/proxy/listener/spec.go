package listener

import (
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"

	"github.com/usher-mesh/usher/internal/proxy/accesslog"
	"github.com/usher-mesh/usher/internal/proxy/counters"
	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/filter"
	"github.com/usher-mesh/usher/internal/proxy/hcm"
	"github.com/usher-mesh/usher/internal/proxy/http2"
	"github.com/usher-mesh/usher/internal/proxy/overload"
	"github.com/usher-mesh/usher/internal/proxy/snapshot"
	"github.com/usher-mesh/usher/internal/proxy/tls"
	"github.com/usher-mesh/usher/internal/proxy/upstream"
)

// Options are what listeners need besides their configuration.
type Options struct {
	Filters  []filter.Factory
	Secrets  tls.Secrets
	Snapshot func() *snapshot.Snapshot
	// Unwell tells whether the proxy is to be seen as failed: clients are told to leave
	// with each answer. Nil: never.
	Unwell     func() bool
	Counters   *counters.Set    // nil: nothing is counted
	Node       *corev3.Node     // this proxy, as spans name it
	AccessLogs *accesslog.Files // nil: configurations with access logs are refused
	// ProxyCredential is what clients of a forward proxy must show:
	// "user:password", or a password for any user. "" refuses everybody.
	ProxyCredential func() string
	// Observe is told of each request that has ended; nil for none.
	Observe func(*exchange.Exchange)
	// ObserveTCP is told of each connection that carries no HTTP, once its endpoint is
	// known or cannot be, and when it has ended; nil for none.
	ObserveTCP func(x *exchange.Exchange, ended bool)
	// HTTP2 counts what happens on connections of HTTP/2; nil for nobody.
	HTTP2 *http2.Counters
	// At gives the listener whose address a connection was made to, nil if there is none: who
	// has use_original_dst hands it the connection. Nil: there are no others.
	At func(netip.AddrPort) *Listener
	// Overload says what is to be refused; nil: nothing.
	Overload *overload.State
	Log      *slog.Logger
	Now      func() time.Time
	// MaxConnections bounds the open connections of a listener; 0: 16,384.
	MaxConnections int
	// Limits are MaxConnections of listeners by their name.
	Limits map[string]int
}

// cluster gives the cluster of that name as it is now.
func (o *Options) cluster(name string) *upstream.Cluster {
	if s := o.Snapshot(); s != nil {
		return s.Clusters[name]
	}
	return nil
}

func (o *Options) logs() accesslog.Options {
	return accesslog.Options{Files: o.AccessLogs, Clusters: o.cluster, Node: o.Node, Counters: o.Counters, Log: o.Log}
}

// Spec is a compiled listener. It is immutable.
type Spec struct {
	Name    string
	Address netip.AddrPort
	Network string // that the address is listened to in: "tcp4" and "tcp6" for wildcards of one family, else "tcp"
	Inbound bool   // its traffic_direction
	// Unbound: it has no socket (bind_to_port false), and serves what others hand it.
	Unbound bool
	// Routes are the RouteConfigurations that its chains take by name.
	Routes []string

	metadata exchange.Metadata
	chains   []*chain
	fallback *chain         // default_filter_chain
	told     *proxyProtocol // nil: the connection's addresses hold
	restores bool           // the destination before a redirect takes the place of the connection's address
	handsOff bool           // use_original_dst
	at       func(netip.AddrPort) *Listener
	inspect  bool // TLS is told from plaintext by the first bytes
	hello    bool // the ClientHello's names matter for the choice
	timeout  time.Duration
	max      int
	log      *slog.Logger
	deny     bool
	overload *overload.State
	outbound bool        // its traffic_direction
	unwell   func() bool // nil: never, or clients do not leave for it

	counters *counters.Set
	held     []heldStat // released with the spec
	statName string
	stats    *stats
	tlsStats *tlsStats // nil: no chain has TLS

	users   atomic.Int64 // connections that ask its chains
	retired atomic.Bool  // another spec took its place
	once    sync.Once
}

// SameSocket tells whether both are bound alike.
func (s *Spec) SameSocket(o *Spec) bool {
	return s.Address == o.Address && s.Network == o.Network && s.Unbound == o.Unbound
}

// release is called by a connection that does not ask the spec any more.
func (s *Spec) release() {
	if s.users.Add(-1) == 0 && s.retired.Load() {
		s.Close()
	}
}

// retire closes the spec when its last connection has left it.
func (s *Spec) retire() {
	s.retired.Store(true)
	if s.users.Load() == 0 {
		s.Close()
	}
}

// Close releases what the filters of a spec hold: for one that was never put in
// force. Listeners close theirs themselves.
func (s *Spec) Close() { s.once.Do(s.close) }

func (s *Spec) close() {
	s.counters.Release(counters.Listener, s.statName)
	for _, h := range s.held {
		s.counters.Release(h.scope, h.of)
	}
	for _, c := range append(s.chains, s.fallback) {
		if c == nil {
			continue
		}
		if c.http != nil {
			c.http.Close()
		}
		if c.tcp != nil {
			accesslog.Close(c.tcp.logs)
		}
	}
}

// heldStat names counters that a filter holds.
type heldStat struct {
	scope counters.Scope
	of    string
}

// chain is a compiled filter chain.
type chain struct {
	place *exchange.Place
	match match
	tls   *tls.Downstream // nil: in clear
	http  *hcm.Manager    // or
	tcp   *tcpProxy
	wait  time.Duration // for the handshake
	limit []*connectionLimit
}

// match is a compiled FilterChainMatch. Empty parts match everything.
type match struct {
	port      uint16
	prefixes  []netip.Prefix
	names     []string // server names, lower case; "*.x" as ".x"
	transport string   // "tls" or "raw_buffer"
	alpn      []string
	// Of who connects: the other end of the connection, and who that tells it stands for.
	direct, sources []netip.Prefix
	sourceType      listenerv3.FilterChainMatch_ConnectionSourceType
	sourcePorts     []uint16
}

// Deny is a listener at that address that closes every connection: what stands in
// for a configuration that was refused although it carries authentication or
// authorization.
func Deny(name string, at netip.AddrPort, log *slog.Logger) *Spec {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Spec{Name: name, Address: at, deny: true, log: log, max: defaultMax, overload: new(overload.State), stats: new(stats)}
}

// Denies tells whether the spec was made by Deny.
func (s *Spec) Denies() bool { return s.deny }

const defaultMax = 16384
