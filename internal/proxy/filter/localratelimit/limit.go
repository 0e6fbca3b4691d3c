package localratelimit

import (
	"sync/atomic"
	"time"

	limitv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/local_ratelimit/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"

	commonv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/common/ratelimit/v3"

	"github.com/usher-mesh/usher/internal/proxy/counters"
	"github.com/usher-mesh/usher/internal/proxy/match"
	"github.com/usher-mesh/usher/internal/proxy/route"
	"github.com/usher-mesh/usher/internal/proxy/strict"
)

// limit is a compiled LocalRateLimit.
type limit struct {
	bucket            *bucket // nil: no limit, or none
	none              bool    // nothing passes: a bucket that holds no token
	enabled, enforced match.Fraction
	status            int
	exhausted         bool // gRPC gets RESOURCE_EXHAUSTED
	headers           bool // x-ratelimit-* on answers
	request           route.Additions
	response          route.Additions
	counts            counts
}

type counts struct{ enabled, enforced, limited, ok *atomic.Int64 }

// compile compiles a LocalRateLimit. Stage, vh_rate_limits and
// always_consume_default_token_bucket speak of descriptors, which are refused: without
// any they have no effect in Envoy either.
func compile(m *limitv3.LocalRateLimit, set *counters.Set, now func() time.Time) (*limit, error) {
	if err := strict.Only(m, "stat_prefix", "status", "token_bucket", "filter_enabled", "filter_enforced", "response_headers_to_add",
		"request_headers_to_add_when_not_enforced", "stage", "enable_x_ratelimit_headers", "vh_rate_limits",
		"always_consume_default_token_bucket", "rate_limited_as_resource_exhausted"); err != nil {
		return nil, err
	}
	if m.GetStatPrefix() == "" {
		return nil, strict.Errorf("stat_prefix", "empty")
	}
	if m.GetStage() > 10 {
		return nil, strict.Errorf("stage", "above 10")
	}
	l := &limit{exhausted: m.GetRateLimitedAsResourceExhausted(), status: int(m.GetStatus().GetCode())}
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
	if err := l.fill(m.GetTokenBucket(), now); err != nil {
		return nil, strict.At("token_bucket", err)
	}
	of := func(name string) *atomic.Int64 {
		return set.Of(counters.Name{Scope: counters.LocalRateLimit, Of: m.GetStatPrefix(), Name: "http_local_rate_limit." + name})
	}
	of("shadow_mode") // of descriptors: shown, and never more than 0
	l.counts = counts{of("enabled"), of("enforced"), of("rate_limited"), of("ok")}
	return l, nil
}

// fill makes the bucket.
func (l *limit) fill(m *typev3.TokenBucket, now func() time.Time) error {
	if m == nil {
		return nil
	}
	if err := strict.Only(m, "max_tokens", "tokens_per_fill", "fill_interval"); err != nil {
		return err
	}
	interval := m.GetFillInterval().AsDuration().Truncate(time.Millisecond)
	if m.GetFillInterval().CheckValid() != nil || interval <= 0 {
		return strict.Errorf("fill_interval", "must be above 0")
	}
	perFill := uint32(1)
	if n := m.GetTokensPerFill(); n != nil {
		if perFill = n.GetValue(); perFill == 0 {
			return strict.Errorf("tokens_per_fill", "must be above 0")
		}
	}
	switch {
	case m.GetMaxTokens() == 0:
		l.none = true
	case interval < 50*time.Millisecond:
		return strict.Errorf("fill_interval", "must be 50ms at least")
	default:
		l.bucket = newBucket(m.GetMaxTokens(), perFill, interval, now)
	}
	return nil
}
