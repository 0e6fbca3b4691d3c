package route

import (
	"regexp"
	"strings"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	ratelimitv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/common/ratelimit/v3"

	"github.com/usher-mesh/usher/internal/proxy/descriptor"
	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/filter"
	"github.com/usher-mesh/usher/internal/proxy/format"
	"github.com/usher-mesh/usher/internal/proxy/match"
	"github.com/usher-mesh/usher/internal/proxy/redact"
	"github.com/usher-mesh/usher/internal/proxy/upstream"
	"github.com/usher-mesh/usher/internal/proxy/upstream/subset"
)

// Route is one compiled route. It is shared and immutable.
type Route struct {
	Name string
	// Operation names the route's requests in traces, "" if nothing does; Propagate: the
	// other side is told.
	Operation string
	Propagate bool
	Tracing   *Tracing // nil: what the connection manager says

	path     pathMatcher
	headers  []*match.Header
	query    []*match.Query
	fraction match.Fraction

	conditions []condition

	// One of these says what is done with the request.
	Direct   *Direct
	Redirect *Redirect
	Forward  *Forward

	mutations []*mutations // from the most specific to the least
	filters   map[string]any
	disabled  map[string]bool
	metadata  *corev3.Metadata
	limits    Limits
}

// Limits are what a route's requests are counted by.
type Limits struct {
	Own, Host []*descriptor.Policy
	Include   bool // include_vh_rate_limits: those of the virtual host count besides
}

// Policies gives the lists of those that count, of any stage. Those of the virtual host do
// as the filter says (OVERRIDE: where the route has none), unless the route includes them.
func (l *Limits) Policies(host ratelimitv3.VhRateLimitsOptions) (lists [2][]*descriptor.Policy) {
	lists[0] = l.Own
	switch {
	case l.Include, host == ratelimitv3.VhRateLimitsOptions_INCLUDE, host == ratelimitv3.VhRateLimitsOptions_OVERRIDE && len(l.Own) == 0:
		lists[1] = l.Host
	}
	return lists
}

// Limits gives what the route's requests are counted by; nil if it forwards none.
func (r *Route) Limits() *Limits {
	if r.Forward == nil {
		return nil
	}
	return &r.limits
}

var _ filter.Route = (*Route)(nil)

// FilterConfig implements filter.Route.
func (r *Route) FilterConfig(name string) any { return r.filters[name] }

// Cluster names the cluster that the request will go to, "" if to none.
func (r *Route) Cluster(x *exchange.Exchange) string {
	if r.Forward == nil {
		return ""
	}
	return r.Forward.choose(x).Cluster
}

// Metadata gives what the configuration says of the route for whoever asks; it may be nil.
func (r *Route) Metadata() *corev3.Metadata { return r.metadata }

// Disabled tells whether the route switches a filter off.
func (r *Route) Disabled(name string) bool { return r.disabled[name] }

// Direct is a direct response.
type Direct struct {
	Status int
	body   string
	format *format.Body // nil: body as it is
}

// Text gives the content for a request.
func (d *Direct) Text(x *exchange.Exchange) string {
	if d.format == nil {
		return d.body
	}
	return d.format.Of(x, d.body)
}

// ContentType is that of a content that is made by a format, else "".
func (d *Direct) ContentType() string {
	if d.format == nil {
		return ""
	}
	return d.format.ContentType
}

// Redirect is a redirection.
type Redirect struct {
	Status     int
	scheme     string
	https      bool
	host       string
	port       uint32
	path       string // replaces path and query
	prefix     string // replaces the matched prefix
	regex      *regexp.Regexp
	substitute string
	stripQuery bool
	secures    bool // to the same by https, port and all
}

// Forward is what a route to a cluster says.
type Forward struct {
	cluster     string
	header      string // cluster_header
	weighted    []weighted
	total       uint32
	NotFound    int           // status when the cluster does not exist
	Timeout     time.Duration // of the whole answer; 0: none
	Idle        time.Duration // of the stream; negative: the connection manager's
	MaxDuration time.Duration // of the stream; 0: none
	// What gRPC clients may ask for instead of Timeout and MaxDuration; see grpcBound.
	GRPCTimeout, GRPCStream time.Duration
	Priority                upstream.Priority
	Retry                   *Retry
	Mirrors                 []Mirror
	HostRewrite             string
	AutoHost                bool
	hostHeader              string
	hostRegex               *regexp.Regexp
	hostSubst               string
	prefixRewrite           string
	pathRewrite             string
	regexRewrite            *regexp.Regexp
	regexSubst              string

	templateRewrite *match.Rewrite

	forwardedHost bool
	hash          []hashPolicy
	criteria      *subset.Criteria // of metadata_match
	Upgrades      map[string]bool  // kind -> enabled; overrides the connection manager's
	// x-envoy-attempt-count is sent to the upstream, and to the client.
	Attempts, AttemptsAnswer bool
}

type weighted struct {
	name      string
	header    string // that names it instead
	weight    uint32
	mutations *mutations
	host      string
	criteria  *subset.Criteria // the route's with its own
}

// Choice is the cluster that was chosen for one request.
type Choice struct {
	Cluster   string
	mutations *mutations
	host      string
	cookies   []string // that hash policies give to the client
	// Criteria narrow the cluster's endpoints.
	Criteria *subset.Criteria
}

// Choose selects the cluster of a request, and sets its hash.
func (f *Forward) Choose(x *exchange.Exchange) Choice {
	c := f.choose(x)
	if md := x.Metadata[subset.Metadata]; len(md) > 0 {
		others := make(map[string]string, len(md))
		for name, v := range md {
			others[name] = subset.Text(v.Any())
		}
		c.Criteria = c.Criteria.With(others)
	}
	if f.hash != nil {
		x.Hash, c.cookies = hash(f.hash, x)
	}
	return c
}

func (f *Forward) choose(x *exchange.Exchange) Choice {
	switch {
	case f.header != "":
		return Choice{Cluster: x.Request.Header.Get(f.header), Criteria: f.criteria}
	case f.weighted != nil:
		n := uint32(x.Random() % uint64(f.total))
		for i := range f.weighted {
			w := &f.weighted[i]
			if n < w.weight {
				c := Choice{Cluster: w.name, mutations: w.mutations, host: w.host, Criteria: w.criteria}
				if w.header != "" {
					c.Cluster = x.Request.Header.Get(w.header)
				}
				return c
			}
			n -= w.weight
		}
	}
	return Choice{Cluster: f.cluster, Criteria: f.criteria}
}

// Rewrite changes the request as the route says, after its filters have seen it.
func (r *Route) Rewrite(x *exchange.Exchange, c Choice) {
	if c.mutations != nil {
		c.mutations.request(x)
	}
	for _, m := range r.mutations {
		m.request(x)
	}
	f := r.Forward
	if f == nil {
		return
	}
	r.rewriteHost(x, c) // by the path as it came
	r.rewritePath(x)
}

func (r *Route) rewriteHost(x *exchange.Exchange, c Choice) {
	f := r.Forward
	if c.host != "" {
		x.Request.Authority = c.host // which the route itself may rewrite again
	}
	host := f.HostRewrite
	switch {
	case f.hostHeader != "":
		if h := x.Request.Header.Get(f.hostHeader); h != "" {
			host = h
		}
	case f.hostRegex != nil:
		path, _, _ := strings.Cut(x.Request.Path, "?")
		host = f.hostRegex.ReplaceAllString(path, f.hostSubst)
	}
	if host != "" {
		x.Request.Header.Set("x-envoy-original-host", x.Request.Authority)
		if f.forwardedHost {
			x.Request.Header.Add("x-forwarded-host", x.Request.Authority)
		}
		x.Request.Authority = host
	}
}

func (r *Route) rewritePath(x *exchange.Exchange) {
	f := r.Forward
	path, query := x.Request.Path, ""
	if i := strings.IndexByte(path, '?'); i >= 0 {
		path, query = path[:i], path[i:]
	}
	was := x.Request.Path
	switch {
	case f.pathRewrite != "":
		x.Request.Path = f.pathRewrite + query
	case f.prefixRewrite != "":
		x.Request.Path = f.prefixRewrite + path[r.path.matched(path):] + query
	case f.templateRewrite != nil:
		p, ok := f.templateRewrite.Apply(path)
		if !ok {
			return
		}
		x.Request.Path = p + query
	case f.regexRewrite != nil:
		x.Request.Path = f.regexRewrite.ReplaceAllString(path, f.regexSubst) + query
	default:
		return
	}
	x.Request.Header.Set("x-envoy-original-path", redact.Query(was, x.Secrets()))
}

// Respond changes the response as the route says.
func (r *Route) Respond(x *exchange.Exchange, c Choice) {
	for _, cookie := range c.cookies {
		x.Response.Header.Add("set-cookie", cookie)
	}
	if c.mutations != nil {
		c.mutations.response(x)
	}
	for _, m := range r.mutations {
		m.response(x)
	}
}

// Location gives the target of a redirection.
func (d *Redirect) Location(x *exchange.Exchange, r *Route) string {
	scheme, host := x.Request.Scheme, x.Request.Authority
	if d.secures {
		return "https://" + host + x.Request.Path
	}
	switch {
	case d.https:
		scheme = "https"
	case d.scheme != "":
		scheme = d.scheme
	}
	return scheme + "://" + d.authority(host, scheme != x.Request.Scheme) + d.target(x, r)
}
