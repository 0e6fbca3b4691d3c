// Package descriptor makes the descriptors by which requests are counted against rate
// limits, from Envoy's config.route.v3.RateLimit: lists of keys and values that a request
// has. It knows no limit and no server.
package descriptor

import (
	"strconv"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	ratelimitv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/common/ratelimit/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/strict"
)

// Entry is a key with its value.
type Entry struct{ Key, Value string }

// Descriptor is what a request is counted by.
type Descriptor struct {
	Entries []Entry
	// Limit overrides the server's; nil: it does not.
	Limit *ratelimitv3.RateLimitDescriptor_RateLimitOverride
	// Hits is how many hits the request is; nil: as the server does by default.
	Hits     *uint64
	Negative bool // the hits are given back
}

// Proto is the descriptor for a rate limit server. It holds for ever, other than the
// request's strings: a server may be told of a request that is over.
func (d *Descriptor) Proto() *ratelimitv3.RateLimitDescriptor {
	m := &ratelimitv3.RateLimitDescriptor{Limit: d.Limit, IsNegativeHits: d.Negative}
	for _, e := range d.Entries { // protobuf's strings are UTF-8
		m.Entries = append(m.Entries, &ratelimitv3.RateLimitDescriptor_Entry{Key: e.Key, Value: strings.Clone(strings.ToValidUTF8(e.Value, "!"))})
	}
	if d.Hits != nil {
		m.HitsAddend = wrapperspb.UInt64(*d.Hits)
	}
	return m
}

// Policy is a compiled RateLimit: what makes one descriptor.
type Policy struct {
	Stage   uint32 // AnyStage outside of route configurations
	AtEnd   bool   // it counts when the request is over
	actions []action
	limit   *override
	hits    *uint64
	give    bool
}

// Route is what a policy asks the request's route.
type Route interface {
	Cluster(*exchange.Exchange) string
	Metadata() *corev3.Metadata
}

// Node is the name of the cluster that this proxy belongs to.
type Node string

// AnyStage is that of policies which are a filter's own.
const AnyStage = 1 << 8

// Place says where a policy stands: not all of its fields have effect everywhere.
type Place uint8

// Where policies stand.
const (
	InRoute  Place = iota // in a route configuration
	InFilter              // in a filter's, or in typed_per_filter_config
	InLocal               // InFilter of a limit that is kept here
)

// maxPolicies bounds a list, maxActions one policy.
const (
	maxPolicies = 1000
	maxActions  = 100
)

// CompileAll compiles a list.
func CompileAll(list []*routev3.RateLimit, at Place) (out []*Policy, err error) {
	if len(list) > maxPolicies {
		return nil, strict.Errorf("", "%d are more than %d", len(list), maxPolicies)
	}
	for i, m := range list {
		p, err := compile(m, at)
		if err != nil {
			return nil, strict.AtIndex("", i, err)
		}
		out = append(out, p)
	}
	return out, nil
}

// compile compiles a policy. There is no runtime that disable_key could name a key of.
func compile(m *routev3.RateLimit, at Place) (*Policy, error) {
	known := []string{"stage", "disable_key", "actions", "limit", "apply_on_stream_done"}
	switch at {
	case InFilter:
		known = []string{"actions", "limit", "hits_addend", "apply_on_stream_done"}
	case InLocal:
		known = []string{"actions", "hits_addend"}
	}
	if err := strict.Only(m, known...); err != nil {
		return nil, err
	}
	p := &Policy{Stage: m.GetStage().GetValue(), AtEnd: m.GetApplyOnStreamDone(), give: m.GetHitsAddend().GetIsNegativeHits()}
	switch n := len(m.GetActions()); {
	case p.Stage > 10:
		return nil, strict.Errorf("stage", "above 10")
	case n == 0 || n > maxActions:
		return nil, strict.Errorf("actions", "%d are not from 1 to %d", n, maxActions)
	}
	if at != InRoute {
		p.Stage = AnyStage
	}
	for i, a := range m.GetActions() {
		c, err := compileAction(a)
		if err != nil {
			return nil, strict.AtIndex("actions", i, err)
		}
		p.actions = append(p.actions, c)
	}
	if h := m.GetHitsAddend(); h != nil {
		if err := strict.Only(h, "number", "is_negative_hits"); err != nil {
			return nil, strict.At("hits_addend", err)
		}
		if at == InLocal && h.GetIsNegativeHits() {
			return nil, strict.Errorf("hits_addend.is_negative_hits", "%w", strict.ErrUnsupported)
		}
		if n := h.GetNumber(); n != nil {
			if n.GetValue() > 1_000_000_000 {
				return nil, strict.Errorf("hits_addend.number", "above 1000000000")
			}
			p.hits = &n.Value
		}
	}
	var err error
	if m.GetLimit() != nil {
		p.limit, err = compileOverride(m.GetLimit())
	}
	return p, strict.At("limit", err)
}

// Counts tells whether it counts for a filter of the stage.
func (p *Policy) Counts(stage uint32) bool { return p.Stage == stage || p.Stage == AnyStage }

// Of makes the request's descriptor; false if it has none.
func (p *Policy) Of(x *exchange.Exchange, n Node) (d Descriptor, ok bool) {
	d = Descriptor{Hits: p.hits, Negative: p.give}
	for _, a := range p.actions {
		e, ok := a(x, n)
		if !ok {
			return d, false
		}
		if e.Key != "" {
			d.Entries = append(d.Entries, e)
		}
	}
	if p.limit != nil {
		d.Limit = p.limit.of(x)
	}
	return d, true
}

// override is a compiled RateLimit.Override.
type override struct {
	fixed *ratelimitv3.RateLimitDescriptor_RateLimitOverride
	key   metadataKey
}

func compileOverride(m *routev3.RateLimit_Override) (o *override, err error) {
	o = &override{}
	switch k := m.GetOverrideSpecifier().(type) {
	case *routev3.RateLimit_Override_DynamicMetadata_:
		o.key, err = compileKey(k.DynamicMetadata.GetMetadataKey())
		return o, strict.At("dynamic_metadata.metadata_key", err)
	case *routev3.RateLimit_Override_RateLimit:
		if err := strict.Only(k.RateLimit, "requests_per_unit", "unit"); err != nil {
			return nil, strict.At("rate_limit", err)
		}
		o.fixed = &ratelimitv3.RateLimitDescriptor_RateLimitOverride{RequestsPerUnit: k.RateLimit.GetRequestsPerUnit(), Unit: k.RateLimit.GetUnit()}
		return o, nil
	}
	return nil, strict.Errorf("override_specifier", "missing")
}

func (o *override) of(x *exchange.Exchange) *ratelimitv3.RateLimitDescriptor_RateLimitOverride {
	if o.fixed != nil {
		return o.fixed
	}
	v := o.key.dynamic(x)
	text, _ := v.Get("requests_per_unit").Number()
	n, err := strconv.ParseUint(text.String(), 10, 32)
	name, _ := v.Get("unit").Text()
	unit, known := typev3.RateLimitUnit_value[name]
	if err != nil || !known {
		return nil
	}
	return &ratelimitv3.RateLimitDescriptor_RateLimitOverride{RequestsPerUnit: uint32(n), Unit: typev3.RateLimitUnit(unit)}
}
