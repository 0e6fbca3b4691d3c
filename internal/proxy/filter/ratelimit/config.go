package ratelimit

import (
	"strings"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	commonv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/common/ratelimit/v3"
	limitv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ratelimit/v3"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/usher-mesh/usher/internal/proxy/descriptor"
	"github.com/usher-mesh/usher/internal/proxy/match"
	"github.com/usher-mesh/usher/internal/proxy/route"
	"github.com/usher-mesh/usher/internal/proxy/strict"
	"github.com/usher-mesh/usher/internal/proxy/upstream"
)

// config is a compiled RateLimit.
type config struct {
	domain            string
	stage             uint32
	external          bool // requests of others than the mesh's own alone
	deny              match.Fraction
	exhausted         bool // gRPC gets RESOURCE_EXHAUSTED
	service           *upstream.Unary
	headers           bool // x-ratelimit-* on answers
	unmarked          bool // without x-envoy-ratelimited
	retryAfter        bool
	status, onError   int
	response          route.Additions
	enabled, enforced match.Fraction
	policies          []*descriptor.Policy // instead of the route's
	namespace         string
	prefix            string // of counters
}

// defaultTimeout is Envoy's.
const defaultTimeout = 20 * time.Millisecond

func compile(m *limitv3.RateLimit) (*config, error) {
	if err := strict.Only(m, "domain", "stage", "request_type", "timeout", "failure_mode_deny", "rate_limited_as_resource_exhausted",
		"rate_limit_service", "enable_x_ratelimit_headers", "disable_x_envoy_ratelimited_header", "rate_limited_status",
		"response_headers_to_add", "status_on_error", "stat_prefix", "filter_enabled", "filter_enforced", "failure_mode_deny_percent",
		"rate_limits", "metadata_namespace", "enable_retry_after_header"); err != nil {
		return nil, err
	}
	c := &config{domain: m.GetDomain(), stage: m.GetStage(), exhausted: m.GetRateLimitedAsResourceExhausted(), unmarked: m.GetDisableXEnvoyRatelimitedHeader(),
		retryAfter: m.GetEnableRetryAfterHeader(), status: int(m.GetRateLimitedStatus().GetCode()), onError: 500, namespace: m.GetMetadataNamespace(),
		prefix: "ratelimit.", enabled: match.Everything, enforced: match.Everything}
	switch {
	case c.domain == "":
		return nil, strict.Errorf("domain", "empty")
	case c.stage > 10:
		return nil, strict.Errorf("stage", "above 10")
	case c.status > 599:
		return nil, strict.Errorf("rate_limited_status.code", "%d is no status", c.status)
	case c.status < 400:
		c.status = 429
	}
	switch m.GetRequestType() {
	case "", "both":
	case "external":
		c.external = true
	default: // no request is marked as internal here, so that none would be limited
		return nil, strict.Errorf("request_type", "%q: %w", m.GetRequestType(), strict.ErrUnsupported)
	}
	if s := m.GetStatusOnError(); s != nil {
		if c.onError = int(s.GetCode()); c.onError < 200 || c.onError > 599 {
			return nil, strict.Errorf("status_on_error.code", "%d is not from 200 to 599", c.onError)
		}
	}
	switch m.GetEnableXRatelimitHeaders() {
	case limitv3.RateLimit_OFF:
	case limitv3.RateLimit_DRAFT_VERSION_03:
		c.headers = true
	default:
		return nil, strict.Errorf("enable_x_ratelimit_headers", "%w", strict.ErrUnsupported)
	}
	if m.GetStatPrefix() != "" {
		c.prefix += m.GetStatPrefix() + "."
	}
	if c.namespace == "" {
		c.namespace = "envoy.filters.http.ratelimit"
	}
	if m.GetFailureModeDeny() {
		c.deny = match.Everything
	}
	var err error
	for _, f := range []struct {
		path string
		from *corev3.RuntimeFractionalPercent
		to   *match.Fraction
	}{
		{"failure_mode_deny_percent", m.GetFailureModeDenyPercent(), &c.deny}, {"filter_enabled", m.GetFilterEnabled(), &c.enabled},
		{"filter_enforced", m.GetFilterEnforced(), &c.enforced},
	} {
		if f.from != nil {
			if *f.to, err = match.CompileRuntimeFraction(f.from); err != nil {
				return nil, strict.At(f.path, err)
			}
		}
	}
	if c.response, err = route.CompileAdditions(m.GetResponseHeadersToAdd()); err != nil {
		return nil, strict.At("response_headers_to_add", err)
	}
	if c.policies, err = descriptor.CompileAll(m.GetRateLimits(), descriptor.InFilter); err != nil {
		return nil, strict.At("rate_limits", err)
	}
	return c, c.server(m)
}

// server compiles the way to the server. The filter's timeout counts, as in Envoy.
func (c *config) server(m *limitv3.RateLimit) (err error) {
	s := m.GetRateLimitService()
	if err := strict.Only(s, "grpc_service", "transport_api_version"); err != nil {
		return strict.At("rate_limit_service", err)
	}
	if s.GetTransportApiVersion() != corev3.ApiVersion_V3 {
		return strict.Errorf("rate_limit_service.transport_api_version", "must be V3")
	}
	if c.service, err = upstream.CompileUnary(s.GetGrpcService(), "/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit", defaultTimeout); err != nil {
		return strict.At("rate_limit_service.grpc_service", err)
	}
	c.service.Timeout = defaultTimeout
	if t := m.GetTimeout(); t != nil { // 0 would hold requests for ever
		if c.service.Timeout = t.AsDuration(); t.CheckValid() != nil || c.service.Timeout <= 0 {
			return strict.Errorf("timeout", "must be above 0")
		}
	}
	return nil
}

// settings are a compiled RateLimitPerRoute.
type settings struct {
	host     commonv3.VhRateLimitsOptions
	policies []*descriptor.Policy // instead of the filter's and the route's
	domain   string               // "": the filter's
}

// compilePerRoute compiles a RateLimitPerRoute. override_option is read by nobody in Envoy
// either.
func compilePerRoute(a *anypb.Any) (any, error) {
	var m limitv3.RateLimitPerRoute
	if err := strict.Unpack(a, &m); err != nil {
		return nil, err
	}
	if err := strict.Only(&m, "vh_rate_limits", "override_option", "rate_limits", "domain"); err != nil {
		return nil, err
	}
	s := &settings{domain: m.GetDomain()}
	host, known := commonv3.VhRateLimitsOptions_value[strings.ToUpper(m.GetVhRateLimits().String())]
	if !known {
		return nil, strict.Errorf("vh_rate_limits", "%w", strict.ErrUnsupported)
	}
	s.host = commonv3.VhRateLimitsOptions(host)
	var err error
	s.policies, err = descriptor.CompileAll(m.GetRateLimits(), descriptor.InFilter)
	return s, strict.At("rate_limits", err)
}
