// Package extauthz is the filter that asks an authorization server about each request,
// configured by Envoy's ExtAuthz message with a gRPC service, and with Envoy's answers.
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
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/grpc/status"
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
	Log      *slog.Logger
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
			conf, cl, err := compile(&m, o.Clusters)
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
			return &Filter{config: conf, name: c.Name, client: cl, localURI: c.LocalURI, log: o.Log, counts: counts{
				of("ok"), of("denied"), of("error"), of("disabled"), of("failure_mode_allowed"), of("invalid")}}, nil
		},
		PerRoute: compilePerRoute,
	}
}

// Filter is one compiled configuration.
type Filter struct {
	*config
	name     string
	client   *client
	localURI func() string
	log      *slog.Logger
	counts   counts
}

type counts struct{ ok, denied, failed, disabled, failureAllowed, invalid *atomic.Int64 }

var (
	_ filter.Encoder = (*Filter)(nil)
	_ filter.Closer  = (*Filter)(nil)
	_ filter.Merger  = (*settings)(nil)
)

// Close implements filter.Closer.
func (f *Filter) Close() { f.client.close() }

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
	began := time.Now()
	rs, err := f.client.check(f.request(x, s))
	if err != nil {
		return f.failed(x, status.Code(err).String())
	}
	ok := rs.GetStatus().GetCode() == int32(code.Code_OK)
	if !f.ingested(x, rs, ok, began) {
		return f.invalid(x)
	}
	switch {
	case ok:
		return f.allow(x, rs.GetOkResponse())
	case rs.GetErrorResponse() != nil:
		return f.failed(x, "error_response")
	}
	return f.deny(x, rs.GetDeniedResponse())
}

func (f *Filter) allow(x *exchange.Exchange, ok *authv3.OkHttpResponse) bool {
	p, err := consent(x, ok)
	if err != nil {
		return f.invalid(x)
	}
	f.counts.ok.Add(1)
	if p.apply(x) && f.clearRoute {
		x.ClearRoute()
	}
	if len(p.response) > 0 {
		x.Keep(f, p.response)
	}
	return true
}

func (f *Filter) deny(x *exchange.Exchange, d *authv3.DeniedHttpResponse) bool {
	headers, err := mutations(d.GetHeaders())
	st := 403
	if c := int(d.GetStatus().GetCode()); c != 0 {
		st = c
	}
	f.counts.denied.Add(1)
	if err != nil || st < 200 || st > 599 {
		return f.invalid(x)
	}
	body := d.GetBody()
	if f.maxBody > 0 && len(body) > f.maxBody {
		body = body[:f.maxBody]
	}
	return f.refuse(x, st, body, "ext_authz_denied", headers)
}

// failed passes or refuses a request about which there is no answer.
func (f *Filter) failed(x *exchange.Exchange, why string) bool {
	f.counts.failed.Add(1)
	f.log.Debug("the authorization server did not answer", "cluster", f.client.cluster, "reason", why)
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
func (f *Filter) invalid(x *exchange.Exchange) bool {
	f.counts.invalid.Add(1)
	f.log.Warn("the authorization server's answer is invalid", "cluster", f.client.cluster)
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
func (f *Filter) ingested(x *exchange.Exchange, rs *authv3.CheckResponse, ok bool, began time.Time) bool {
	s := rs.GetDynamicMetadata()
	if own := rs.GetOkResponse().GetDynamicMetadata(); own != nil {
		s = own
	}
	if !f.ingest || len(s.GetFields()) == 0 {
		return true
	}
	if ok {
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
