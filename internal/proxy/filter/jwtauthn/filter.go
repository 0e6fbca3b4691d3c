package jwtauthn

import (
	"context"
	"log/slog"
	"time"

	jwtv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/jwt_authn/v3"

	"github.com/usher-mesh/usher/internal/jose"
	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/filter"
	"github.com/usher-mesh/usher/internal/proxy/strict"
)

// TypeURL is that of the configuration.
const TypeURL = "type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication"

// Namespace is the dynamic metadata's key under which payloads stand, whatever
// the filter is called (Envoy's rule).
const Namespace = "envoy.filters.http.jwt_authn"

// Source is where a remote key set is and how it is fetched, as remote_jwks says. It is
// comparable.
type Source struct {
	Cluster, URI  string
	Timeout       time.Duration // of one fetch
	CacheDuration time.Duration // 0: 10 minutes
	// Retries after a failed fetch, at random times of up to BackOff, thrice that, and
	// so on, each at most MaxBackOff.
	Retries             int
	BackOff, MaxBackOff time.Duration
	// Refetch is the time from a fetch that failed, with its retries, to the next; 0:
	// as the implementation has it.
	Refetch time.Duration
	// Wait: listeners begin when the first fetch has ended, well or not.
	Wait bool
}

// KeySets gives remote key sets. It is safe for concurrent use.
type KeySets interface {
	// Want says that requests will need the set, so that it is fetched before
	// they come. It does not wait.
	Want(Source)
	// Keys gives the set in force. If kid is not "" and no key of the set has
	// it, the set is fetched again first, within the source's own bounds. It is
	// an error that there are no keys to be had; the error holds nothing secret.
	Keys(ctx context.Context, s Source, kid string) (*jose.KeySet, error)
}

// Options are what all filters of a proxy share.
type Options struct {
	Fetch KeySets // nil: remote_jwks is refused
	Log   *slog.Logger
	Now   func() time.Time
	// Counters, if not nil, hold what the filters count.
	Counters *Counters
}

// Factory makes the filters.
func Factory(o Options) filter.Factory {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Counters == nil {
		o.Counters = &Counters{}
	}
	return filter.Factory{
		TypeURL:  TypeURL,
		New:      func(c filter.Config) (filter.Filter, error) { return compile(c, o) },
		PerRoute: compilePerRoute,
	}
}

// Filter is one compiled configuration.
type Filter struct {
	name   string
	prefix string // before the text of a refusal: what usher's metadata asks for
	o      Options

	providers map[string]*provider
	rules     []rule
	state     stateRules
	named     map[string]verifier // requirement_map
	names     string              // of requirement_map, for a message
	preflight bool                // bypass_cors_preflight
	strip     bool                // strip_failure_response
	sanitize  map[string]bool     // headers that providers write, undisguised
	secrets   []exchange.Secret

	stats    *Stats
	refusals refusalLog
}

var (
	_ filter.Filter = (*Filter)(nil)
	_ filter.Closer = (*Filter)(nil)
)

// Close ends the filter when its configuration is replaced.
func (f *Filter) Close() { f.refusals.flush() }

func compile(c filter.Config, o Options) (*Filter, error) {
	var m jwtv3.JwtAuthentication
	if err := strict.Unpack(c.Typed, &m); err != nil {
		return nil, err
	}
	f := &Filter{
		name: c.Name, o: o, prefix: textPrefix(c),
		preflight: m.GetBypassCorsPreflight(), strip: m.GetStripFailureResponse(),
		refusals: refusalLog{log: o.Log, filter: c.Name},
		stats:    o.Counters.of(StatName{c.StatPrefix, m.GetStatPrefix()}),
	}
	return f, f.compile(&m)
}

// textPrefix reads {"jwt_authn": {"<filter name>": {"text_prefix": "Origin "}}}.
func textPrefix(c filter.Config) string {
	return c.Usher.GetFields()["jwt_authn"].GetStructValue().GetFields()[c.Name].
		GetStructValue().GetFields()["text_prefix"].GetStringValue()
}

// Decode lets the request pass or answers it.
func (f *Filter) Decode(x *exchange.Exchange) bool {
	x.Redact(f.secrets)
	if len(f.sanitize) > 0 {
		x.Request.Header.DelFunc(func(h exchange.Field) bool { return f.sanitize[undisguised(h.Name)] })
	}
	if f.preflight && isPreflight(x) {
		f.stats.CORSPreflightBypassed.Add(1)
		f.stats.Allowed.Add(1)
		return true
	}
	v, ok := f.requirement(x)
	if !ok {
		return false
	}
	if v == nil {
		f.stats.Allowed.Add(1)
		return true
	}
	r := newRequest(f, x)
	defer r.release()
	err := v.verify(r)
	if err == nil {
		err = r.settle()
	}
	// What good tokens say is told of a request that is refused, too (Envoy's rule):
	// access logs may show it.
	for _, m := range r.metadata {
		x.SetMetadata(Namespace, m.key, m.value)
	}
	if err != nil {
		return f.deny(r, err)
	}
	return f.allow(r)
}

func (f *Filter) allow(r *request) bool {
	if r.badHeader != "" {
		f.stats.Denied.Add(1)
		f.refusals.sayOther(r.now, "invalid header value for: "+r.badHeader)
		r.x.Reply(503, "invalid header value for: "+r.badHeader, "invalid_header_value")
		return false
	}
	if r.clearRoute {
		r.x.ClearRoute()
	}
	f.stats.Allowed.Add(1)
	return true
}

// isPreflight: the Fetch standard, 4.8, "CORS-preflight fetch".
func isPreflight(x *exchange.Exchange) bool {
	h := &x.Request.Header
	return x.Request.Method == "OPTIONS" && h.Get("origin") != "" && h.Get("access-control-request-method") != ""
}
