// Package csrf is the filter that refuses requests which another site makes a browser
// send (cross-site request forgery): those that change something and whose origin, as
// the browser tells it, is neither the host that they are for nor one of those that are
// allowed besides. It knows nothing of cookies and tokens.
package csrf

import (
	"net/http"
	"sync/atomic"

	csrfv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/csrf/v3"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/usher-mesh/usher/internal/proxy/counters"
	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/filter"
	"github.com/usher-mesh/usher/internal/proxy/match"
	"github.com/usher-mesh/usher/internal/proxy/strict"
)

// TypeURL is that of the configuration.
const TypeURL = "type.googleapis.com/envoy.extensions.filters.http.csrf.v3.CsrfPolicy"

// Factory makes the filters, which count in the set.
func Factory(set *counters.Set) filter.Factory {
	return filter.Factory{
		TypeURL: TypeURL,
		New: func(c filter.Config) (filter.Filter, error) {
			p, err := compile(c.Typed)
			if err != nil {
				return nil, err
			}
			of := func(name string) *atomic.Int64 {
				return set.Of(counters.Name{Scope: counters.HTTP, Of: c.StatPrefix, Name: "csrf." + name})
			}
			return &Filter{name: c.Name, own: p, missing: of("missing_source_origin"), invalid: of("request_invalid"), valid: of("request_valid")}, nil
		},
		PerRoute: func(a *anypb.Any) (any, error) {
			p, err := compile(a)
			return p, err
		},
	}
}

// Filter is one compiled configuration.
type Filter struct {
	name string
	own  *policy // where the route has none

	missing, invalid, valid *atomic.Int64
}

var _ filter.Filter = (*Filter)(nil)

// policy is a compiled CsrfPolicy.
type policy struct {
	enabled, shadow match.Fraction
	additional      []match.String
}

func compile(a *anypb.Any) (*policy, error) {
	m := new(csrfv3.CsrfPolicy)
	if err := strict.Unpack(a, m); err != nil {
		return nil, err
	}
	if err := strict.Only(m, "filter_enabled", "shadow_enabled", "additional_origins"); err != nil {
		return nil, err
	}
	if m.GetFilterEnabled().GetDefaultValue() == nil {
		return nil, strict.Errorf("filter_enabled.default_value", "missing")
	}
	if s := m.GetShadowEnabled(); s != nil && s.GetDefaultValue() == nil {
		return nil, strict.Errorf("shadow_enabled.default_value", "missing")
	}
	p := new(policy)
	var err error
	if p.enabled, err = match.CompileRuntimeFraction(m.GetFilterEnabled()); err != nil {
		return nil, strict.At("filter_enabled", err)
	}
	if p.shadow, err = match.CompileRuntimeFraction(m.GetShadowEnabled()); err != nil {
		return nil, strict.At("shadow_enabled", err)
	}
	for i, o := range m.GetAdditionalOrigins() {
		s, err := match.CompileString(o)
		if err != nil {
			return nil, strict.AtIndex("additional_origins", i, err)
		}
		p.additional = append(p.additional, s)
	}
	return p, nil
}

// Decode lets the request pass or answers 403. In the shadow it only counts.
func (f *Filter) Decode(x *exchange.Exchange) bool {
	switch x.Request.Method {
	case http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodPatch:
	default:
		return true // it changes nothing
	}
	p := f.own
	if r, ok := x.Route.(filter.Route); ok && r != nil {
		if own, ok := r.FilterConfig(f.name).(*policy); ok && own != nil {
			p = own
		}
	}
	// By the request's own number, of which each share takes another part: a lasting
	// request that was let in is not put out by chance.
	enabled := p.enabled.HitBy(x.Random())
	if !enabled && !p.shadow.HitBy(x.Random()>>32) {
		return true
	}
	from := source(&x.Request.Header)
	from.scheme = x.Request.Scheme
	ok := p.permits(from, x.Request.Authority)
	if !x.Again {
		switch {
		case from.text == "":
			f.missing.Add(1)
		case ok:
			f.valid.Add(1)
		default:
			f.invalid.Add(1)
		}
	}
	if ok || !enabled {
		return true
	}
	x.Reply(http.StatusForbidden, "Invalid origin", "csrf_origin_mismatch")
	return false
}
