// Package extauthz is the filter that asks an authorization server about each request,
// configured by Envoy's ExtAuthz message, and with Envoy's answers.
// It fails closed: without an answer that it understands nothing passes, unless
// failure_mode_allow says so. What it was told, and the headers it tells, are logged
// nowhere.
package extauthz

//lint:file-ignore SA1019 Envoy still reads the fields that it has deprecated, and servers send them.

import (
	"log/slog"
	"sync/atomic"
	"time"

	authzv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_authz/v3"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/usher-mesh/usher/internal/proxy/counters"
	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/filter"
	"github.com/usher-mesh/usher/internal/proxy/strict"
)

// TypeURL is that of the configuration.
const TypeURL = "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz"

// Options are what filters need besides their configuration.
type Options struct {
	Clusters Clusters
	Counters *counters.Set
	// Node is the metadata of the proxy's node.
	Node *structpb.Struct
	Log  *slog.Logger
}

// Factory makes the filters.
func Factory(o Options) filter.Factory {
	return filter.Factory{
		TypeURL: TypeURL,
		New: func(c filter.Config) (filter.Filter, error) {
			var m authzv3.ExtAuthz
			if err := strict.Unpack(c.Typed, &m); err != nil {
				return nil, err
			}
			conf, err := compile(&m, &o)
			if err != nil {
				return nil, err
			}
			prefix := "ext_authz."
			if m.GetStatPrefix() != "" {
				prefix += m.GetStatPrefix() + "."
			}
			of := func(name string) *atomic.Int64 {
				return o.Counters.Of(counters.Name{Scope: counters.HTTP, Of: c.StatPrefix, Name: prefix + name})
			}
			return &Filter{config: conf, name: c.Name, localURI: c.LocalURI, log: o.Log, counts: counts{
				of("ok"), of("denied"), of("error"), of("disabled"), of("failure_mode_allowed"), of("invalid"), of("ignored_dynamic_metadata")}}, nil
		},
		PerRoute: func(a *anypb.Any) (any, error) { return compilePerRoute(a, &o) },
	}
}

// Filter is one compiled configuration.
type Filter struct {
	*config
	name     string
	localURI func() string
	log      *slog.Logger
	counts   counts
}

type counts struct{ ok, denied, failed, disabled, failureAllowed, invalid, ignored *atomic.Int64 }

var (
	_ filter.Encoder = (*Filter)(nil)
	_ filter.Merger  = (*settings)(nil)
)

var none = &settings{}

// Decode asks the server. A request without a route is asked about, too: a later filter
// may give it one.
func (f *Filter) Decode(x *exchange.Exchange) bool {
	s := none
	if r, ok := x.Route.(filter.Route); ok && r != nil {
		if own, ok := r.FilterConfig(f.name).(*settings); ok {
			s = own
		}
	}
	if s.disabled {
		return true
	}
	if !f.enabled.Hit() || f.enabledMetadata != nil && !f.enabledMetadata.Match(x) {
		f.counts.disabled.Add(1)
		if !f.denyDisabled {
			return true
		}
		return f.refuse(x, f.statusOnError, "", "ext_authz_error", nil)
	}
	q := &question{x: x, f: f, s: s}
	if !f.take(q) {
		return false
	}
	server := f.service
	if s.service != nil {
		server = s.service
	}
	ctx, cancel := x.Context(server.limit())
	defer cancel()
	began := time.Now()
	v, err := server.check(ctx, q)
	switch {
	case err != nil && exchange.Gone(ctx):
		return false
	case err != nil:
		return f.failed(x, server, status.Code(err).String())
	case !v.allowed:
		f.counts.denied.Add(1)
	}
	if !f.ingested(x, v, began) || v.invalid {
		return f.invalid(x, server)
	}
	if v.allowed {
		f.allow(x, &v.permit)
		return true
	}
	if f.maxBody > 0 && len(v.body) > f.maxBody {
		v.body = v.body[:f.maxBody]
	}
	return f.refuse(x, v.status, v.body, "ext_authz_denied", v.headers)
}

// take reads the request's content, if the server is to see it. False: the request has
// ended.
func (f *Filter) take(q *question) (ok bool) {
	b := f.content
	if q.s.content != nil {
		b = q.s.content
	}
	if b == nil || b.most == 0 || q.x.Request.Body == nil || q.x.Request.Upgrade != "" {
		return true
	}
	var whole bool
	q.body, whole, ok = q.x.Buffer(b.most, b.partial)
	q.content, q.part, q.raw = true, !whole, b.raw
	return ok
}

func (f *Filter) allow(x *exchange.Exchange, p *permit) {
	f.counts.ok.Add(1)
	p.apply(x)
	if f.clearRoute && p.reroutes(f.routeHeaders) {
		x.ClearRoute()
	}
	if len(p.response) > 0 {
		x.Keep(f, p.response)
	}
}

// failed passes or refuses a request about which there is no answer.
func (f *Filter) failed(x *exchange.Exchange, server service, why string) bool {
	f.counts.failed.Add(1)
	f.log.Debug("the authorization server did not answer", "cluster", server.cluster(), "reason", why)
	if !f.failureAllow {
		return f.refuse(x, f.statusOnError, "", "ext_authz_error", nil)
	}
	f.counts.failureAllowed.Add(1)
	if f.failureAllowHeader {
		x.Request.Header.Add("x-envoy-auth-failure-mode-allowed", "true")
	}
	return true
}

// invalid refuses a request whose answer cannot be done as it stands.
func (f *Filter) invalid(x *exchange.Exchange, server service) bool {
	f.counts.invalid.Add(1)
	f.log.Warn("the authorization server's answer is invalid", "cluster", server.cluster())
	return f.refuse(x, 500, "", "ext_authz_invalid", nil)
}

func (f *Filter) refuse(x *exchange.Exchange, status int, body, details string, headers []mutation) bool {
	x.Reply(status, body, details)
	x.Flags = "UAEX"
	for _, m := range headers { // they replace what is there, and may be several of a name
		x.Response.Header.Del(m.name)
	}
	for _, m := range headers {
		x.Response.Header.Add(m.name, m.value)
	}
	return false
}

// ingested writes the server's dynamic metadata. False: they are none.
func (f *Filter) ingested(x *exchange.Exchange, v *verdict, began time.Time) bool {
	s := v.metadata
	if len(s.GetFields()) == 0 {
		return true
	}
	if !f.ingest {
		f.counts.ignored.Add(1)
		return true
	}
	if v.allowed {
		s.Fields["ext_authz_duration"] = structpb.NewNumberValue(float64(time.Since(began).Milliseconds()))
	}
	m, err := filter.CompileMetadata(s)
	if err != nil {
		return false
	}
	m.Write(x, f.name)
	return true
}

// Encode changes the answer as the server's consent said.
func (f *Filter) Encode(x *exchange.Exchange) {
	l, _ := x.Kept(f).([]mutation)
	for i := range l {
		l[i].apply(&x.Response.Header)
	}
}
