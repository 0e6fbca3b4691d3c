package localratelimit

import (
	"sync/atomic"
	"time"

	limitv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/local_ratelimit/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"

	commonv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/common/ratelimit/v3"

	"github.com/usher-mesh/usher/internal/proxy/counters"
	"github.com/usher-mesh/usher/internal/proxy/descriptor"
	"github.com/usher-mesh/usher/internal/proxy/match"
	"github.com/usher-mesh/usher/internal/proxy/route"
	"github.com/usher-mesh/usher/internal/proxy/strict"
)

// limit is a compiled LocalRateLimit.
type limit struct {
	buckets           *buckets
	perConnection     bool                 // buckets are the pattern of each connection's
	policies          []*descriptor.Policy // instead of the route's
	host              commonv3.VhRateLimitsOptions
	stage             uint32
	node              descriptor.Node
	enabled, enforced match.Fraction
	status            int
	exhausted         bool // gRPC gets RESOURCE_EXHAUSTED
	headers           bool // x-ratelimit-* on answers
	retryAfter        bool
	request           route.Additions
	response          route.Additions
	counts            counts
}

type counts struct{ enabled, enforced, limited, ok, shadow *atomic.Int64 }

// compile compiles a LocalRateLimit. Without wildcards max_dynamic_descriptors has no effect.
func compile(m *limitv3.LocalRateLimit, set *counters.Set, node descriptor.Node, now func() time.Time) (*limit, error) {
	if err := strict.Only(m, "stat_prefix", "status", "token_bucket", "filter_enabled", "filter_enforced", "response_headers_to_add",
		"request_headers_to_add_when_not_enforced", "descriptors", "stage", "local_rate_limit_per_downstream_connection",
		"enable_x_ratelimit_headers", "vh_rate_limits", "always_consume_default_token_bucket", "rate_limited_as_resource_exhausted",
		"rate_limits", "max_dynamic_descriptors", "enable_retry_after_header"); err != nil {
		return nil, err
	}
	if m.GetStatPrefix() == "" {
		return nil, strict.Errorf("stat_prefix", "empty")
	}
	if m.GetStage() > 10 {
		return nil, strict.Errorf("stage", "above 10")
	}
	l := &limit{exhausted: m.GetRateLimitedAsResourceExhausted(), status: int(m.GetStatus().GetCode()), stage: m.GetStage(), node: node,
		host: m.GetVhRateLimits(), perConnection: m.GetLocalRateLimitPerDownstreamConnection(), retryAfter: m.GetEnableRetryAfterHeader(),
		buckets: &buckets{both: m.GetAlwaysConsumeDefaultTokenBucket() == nil || m.GetAlwaysConsumeDefaultTokenBucket().GetValue()}}
	switch {
	case l.status > 599:
		return nil, strict.Errorf("status.code", "%d is no status", l.status)
	case l.status < 400:
		l.status = 429
	}
	switch m.GetEnableXRatelimitHeaders() {
	case commonv3.XRateLimitHeadersRFCVersion_OFF:
	case commonv3.XRateLimitHeadersRFCVersion_DRAFT_VERSION_03:
		l.headers = true
	default:
		return nil, strict.Errorf("enable_x_ratelimit_headers", "%w", strict.ErrUnsupported)
	}
	var err error
	if l.enabled, err = match.CompileRuntimeFraction(m.GetFilterEnabled()); err != nil {
		return nil, strict.At("filter_enabled", err)
	}
	if l.enforced, err = match.CompileRuntimeFraction(m.GetFilterEnforced()); err != nil {
		return nil, strict.At("filter_enforced", err)
	}
	if l.request, err = route.CompileAdditions(m.GetRequestHeadersToAddWhenNotEnforced()); err != nil {
		return nil, strict.At("request_headers_to_add_when_not_enforced", err)
	}
	if l.response, err = route.CompileAdditions(m.GetResponseHeadersToAdd()); err != nil {
		return nil, strict.At("response_headers_to_add", err)
	}
	if _, known := commonv3.VhRateLimitsOptions_name[int32(l.host)]; !known {
		return nil, strict.Errorf("vh_rate_limits", "%w", strict.ErrUnsupported)
	}
	if l.buckets.def, err = fill(m.GetTokenBucket(), now); err != nil {
		return nil, strict.At("token_bucket", err)
	}
	if l.policies, err = descriptor.CompileAll(m.GetRateLimits(), descriptor.InLocal); err != nil {
		return nil, strict.At("rate_limits", err)
	}
	for i, d := range m.GetDescriptors() {
		if err := l.describe(d, now); err != nil {
			return nil, strict.AtIndex("descriptors", i, err)
		}
	}
	of := func(name string) *atomic.Int64 {
		return set.Of(counters.Name{Scope: counters.LocalRateLimit, Of: m.GetStatPrefix(), Name: "http_local_rate_limit." + name})
	}
	l.counts = counts{of("enabled"), of("enforced"), of("rate_limited"), of("ok"), of("shadow_mode")}
	return l, nil
}

// describe adds the bucket of a descriptor.
func (l *limit) describe(m *commonv3.LocalRateLimitDescriptor, now func() time.Time) error {
	if err := strict.Only(m, "entries", "token_bucket", "shadow_mode"); err != nil {
		return err
	}
	var entries []descriptor.Entry
	for i, e := range m.GetEntries() {
		switch {
		case e.GetKey() == "":
			return strict.AtIndex("entries", i, strict.Errorf("key", "empty"))
		case e.GetValue() == "": // a wildcard: clients could make any number of buckets
			return strict.AtIndex("entries", i, strict.Errorf("value", "empty: %w", strict.ErrUnsupported))
		}
		entries = append(entries, descriptor.Entry{Key: e.GetKey(), Value: e.GetValue()})
	}
	if len(entries) == 0 {
		return strict.Errorf("entries", "empty")
	}
	p, err := fill(m.GetTokenBucket(), now)
	switch {
	case err != nil:
		return strict.At("token_bucket", err)
	case p == nil:
		return strict.Errorf("token_bucket", "missing")
	case l.buckets.of[key(entries)] != nil:
		return strict.Errorf("entries", "there already")
	}
	p.shadow = m.GetShadowMode()
	if l.buckets.of == nil {
		l.buckets.of = map[string]*pool{}
	}
	l.buckets.of[key(entries)] = p
	return nil
}

// fill makes a bucket, nil for no limit.
func fill(m *typev3.TokenBucket, now func() time.Time) (*pool, error) {
	if m == nil {
		return nil, nil
	}
	if err := strict.Only(m, "max_tokens", "tokens_per_fill", "fill_interval"); err != nil {
		return nil, err
	}
	interval := m.GetFillInterval().AsDuration().Truncate(time.Millisecond)
	if m.GetFillInterval().CheckValid() != nil || interval <= 0 {
		return nil, strict.Errorf("fill_interval", "must be above 0")
	}
	perFill := uint32(1)
	if n := m.GetTokensPerFill(); n != nil {
		if perFill = n.GetValue(); perFill == 0 {
			return nil, strict.Errorf("tokens_per_fill", "must be above 0")
		}
	}
	switch {
	case m.GetMaxTokens() == 0:
		return &pool{}, nil
	case interval < 50*time.Millisecond:
		return nil, strict.Errorf("fill_interval", "must be 50ms at least")
	}
	return &pool{bucket: newBucket(m.GetMaxTokens(), perFill, interval, now)}, nil
}
