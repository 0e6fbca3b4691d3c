package hcm

import (
	"log/slog"
	"net/netip"
	"sync/atomic"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/usher-mesh/usher/internal/proxy/accesslog"
	"github.com/usher-mesh/usher/internal/proxy/counters"
	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/filter"
	"github.com/usher-mesh/usher/internal/proxy/http1"
	"github.com/usher-mesh/usher/internal/proxy/http2"
	"github.com/usher-mesh/usher/internal/proxy/overload"
	"github.com/usher-mesh/usher/internal/proxy/route"
	"github.com/usher-mesh/usher/internal/proxy/snapshot"
	"github.com/usher-mesh/usher/internal/proxy/tracing"
	"github.com/usher-mesh/usher/internal/proxy/upstream"
)

// Options are what a manager needs besides its configuration.
type Options struct {
	Filters  []filter.Factory
	Snapshot func() *snapshot.Snapshot
	Listener string
	// Usher is metadata.filter_metadata["usher"] of the listener, or nil.
	Usher *structpb.Struct
	// HTTPProxy makes it a forward proxy: absolute form and CONNECT alone, with
	// the credential of ProxyCredential ("user:password", or a password for any
	// user). Without a credential everything is refused.
	HTTPProxy       bool
	ProxyCredential func() string
	// LocalURI gives the URI SAN of the certificate that this side shows, "" if
	// it has none; nil without TLS.
	LocalURI func() string
	// AccessLogs opens the logs that the configuration names.
	AccessLogs *accesslog.Files
	// Counters holds the statistics, of the manager and of the listener whose name in
	// them is StatAddress; nil: nobody's.
	Counters    *counters.Set
	StatAddress string
	// HTTP2 counts what happens on connections of HTTP/2; nil for nobody.
	HTTP2 *http2.Counters
	// Observe is told of each request that has ended; nil for none.
	Observe func(*exchange.Exchange)
	// Overload says what is to be refused; nil: nothing.
	Overload *overload.State
	// Outbound: requests leave the workload here. Clusters gives those that the manager
	// itself asks, such as a collector of spans or of entries of logs; nil: these are refused.
	Outbound bool
	Clusters func(name string) *upstream.Cluster
	Node     *corev3.Node // this proxy
	Log      *slog.Logger
}

// namedFilter is a filter at its place in the order.
type namedFilter struct {
	name     string
	filter   filter.Filter
	disabled bool // unless a route enables it by a configuration
}

// Manager is a compiled HttpConnectionManager. It is shared by connections and
// immutable.
type Manager struct {
	o          Options
	statPrefix string
	stats      *stats
	ofListener *ofListener
	filters    []namedFilter
	logs       []*accesslog.Logger
	logsNew    bool             // flush_access_log_on_new_request
	replies    *replies         // nil: the proxy's own answers stay as they are
	tracing    *tracing.Tracing // nil: nothing is traced

	table     *route.Table // inline
	routeName string       // or by name, from the snapshot

	codecType      hcmv3.HttpConnectionManager_CodecType
	http2          http2.Options
	limits         http1.Limits
	server         string
	serverMode     hcmv3.HttpConnectionManager_ServerHeaderTransformation
	idle           time.Duration // between requests; 0: none
	headers        time.Duration // of a head that has begun; 0: none
	streamIdle     time.Duration
	requestTimeout time.Duration
	delayedClose   time.Duration
	drain          time.Duration // drain_timeout
	maxRequests    int64
	maxAge         time.Duration
	maxStream      time.Duration

	useRemote       bool
	skipXFFAppend   bool
	trustedHops     uint32
	internal        []netip.Prefix // internal_address_config
	requestID       bool
	preserveID      bool
	idInResponse    bool
	via             string
	xfcc            hcmv3.HttpConnectionManager_ForwardClientCertDetails
	xfccDetails     *hcmv3.HttpConnectionManager_SetCurrentClientCertDetails
	upgrades        map[string]bool
	normalize       bool
	mergeSlashes    bool
	escapedSlashes  hcmv3.HttpConnectionManager_PathWithEscapedSlashesAction
	stripPort       bool
	stripAnyPort    bool
	stripDot        bool
	mirrors         atomic.Int64 // copies of requests that are under way
	suppressHeaders bool         // router: suppress_envoy_headers
	respectExpected bool         // router: respect_expected_rq_timeout
}

// RouteName is the key (origin.Name) of the RouteConfiguration that the manager takes by
// name, "" if it holds its own.
func (m *Manager) RouteName() string { return m.routeName }

// routes gives the table of routes for a request.
func (m *Manager) routes(s *snapshot.Snapshot) *route.Table {
	if m.routeName == "" {
		return m.table
	}
	if s == nil {
		return nil
	}
	return s.Routes[m.routeName]
}

// Close releases what the manager and its filters hold.
func (m *Manager) Close() {
	m.release()
	accesslog.Close(m.logs)
	if m.tracing != nil {
		m.tracing.Close()
	}
	for _, f := range m.filters {
		if c, ok := f.filter.(filter.Closer); ok {
			c.Close()
		}
	}
}
