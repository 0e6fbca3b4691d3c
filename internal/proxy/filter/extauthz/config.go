package extauthz

import (
	"strings"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authzv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_authz/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/usher-mesh/usher/internal/proxy/http1"
	"github.com/usher-mesh/usher/internal/proxy/match"
	"github.com/usher-mesh/usher/internal/proxy/strict"
)

// config is a compiled ExtAuthz.
type config struct {
	failureAllow       bool
	failureAllowHeader bool
	clearRoute         bool
	statusOnError      int
	namespaces         []string
	enabled            match.Fraction
	enabledMetadata    *match.Metadata // nil: always
	denyDisabled       bool
	certificate, sni   bool
	allowed            []match.String // nil: all
	disallowed         []match.String
	ingest             bool // the server may write dynamic metadata
	maxBody            int  // of a refusal; 0: as it comes
}

// compile compiles an ExtAuthz with a gRPC service. What the server may change is
// always validated, whatever validate_mutations says.
func compile(m *authzv3.ExtAuthz, clusters Clusters) (*config, *client, error) {
	if err := strict.Only(m, "grpc_service", "transport_api_version", "failure_mode_allow", "failure_mode_allow_header_add", "clear_route_cache",
		"status_on_error", "validate_mutations", "metadata_context_namespaces", "filter_enabled", "filter_enabled_metadata", "deny_at_disable",
		"include_peer_certificate", "include_tls_session", "stat_prefix", "allowed_headers", "disallowed_headers",
		"enable_dynamic_metadata_ingestion", "max_denied_response_body_bytes"); err != nil {
		return nil, nil, err
	}
	if m.GetTransportApiVersion() != corev3.ApiVersion_V3 {
		return nil, nil, strict.Errorf("transport_api_version", "must be V3")
	}
	c := &config{failureAllow: m.GetFailureModeAllow(), failureAllowHeader: m.GetFailureModeAllowHeaderAdd(), clearRoute: m.GetClearRouteCache(),
		statusOnError: 403, namespaces: m.GetMetadataContextNamespaces(), denyDisabled: m.GetDenyAtDisable().GetDefaultValue().GetValue(),
		certificate: m.GetIncludePeerCertificate(), sni: m.GetIncludeTlsSession(), maxBody: int(m.GetMaxDeniedResponseBodyBytes()),
		ingest: m.GetEnableDynamicMetadataIngestion() == nil || m.GetEnableDynamicMetadataIngestion().GetValue()}
	if s := m.GetStatusOnError(); s != nil {
		if c.statusOnError = int(s.GetCode()); c.statusOnError < 200 || c.statusOnError > 599 {
			return nil, nil, strict.Errorf("status_on_error.code", "%d is not from 200 to 599", c.statusOnError)
		}
	}
	if err := strict.Only(m.GetDenyAtDisable(), "default_value", "runtime_key"); err != nil {
		return nil, nil, strict.At("deny_at_disable", err)
	}
	var err error
	if m.GetFilterEnabled() == nil {
		c.enabled = match.Everything
	} else if c.enabled, err = match.CompileRuntimeFraction(m.GetFilterEnabled()); err != nil {
		return nil, nil, strict.At("filter_enabled", err)
	}
	if f := m.GetFilterEnabledMetadata(); f != nil {
		if c.enabledMetadata, err = match.CompileMetadata(f); err != nil {
			return nil, nil, strict.At("filter_enabled_metadata", err)
		}
	}
	if c.allowed, err = patterns(m.GetAllowedHeaders()); err != nil {
		return nil, nil, strict.At("allowed_headers", err)
	}
	if c.disallowed, err = patterns(m.GetDisallowedHeaders()); err != nil {
		return nil, nil, strict.At("disallowed_headers", err)
	}
	if m.GetGrpcService() == nil {
		return nil, nil, strict.Errorf("grpc_service", "missing")
	}
	cl, err := compileService(m.GetGrpcService(), clusters)
	return c, cl, strict.At("grpc_service", err)
}

func patterns(m *matcherv3.ListStringMatcher) (out []match.String, err error) {
	if m == nil {
		return nil, nil
	}
	if err := strict.Only(m, "patterns"); err != nil {
		return nil, err
	}
	if len(m.GetPatterns()) == 0 {
		return nil, strict.Errorf("patterns", "empty")
	}
	for i, p := range m.GetPatterns() {
		s, err := match.CompileString(p)
		if err != nil {
			return nil, strict.AtIndex("patterns", i, err)
		}
		out = append(out, s)
	}
	return out, nil
}

// defaultTimeout is Envoy's.
const defaultTimeout = 200 * time.Millisecond

func compileService(m *corev3.GrpcService, clusters Clusters) (*client, error) {
	if err := strict.Only(m, "envoy_grpc", "timeout", "initial_metadata"); err != nil {
		return nil, err
	}
	g := m.GetEnvoyGrpc()
	if err := strict.Only(g, "cluster_name", "authority"); err != nil {
		return nil, strict.At("envoy_grpc", err)
	}
	if g.GetClusterName() == "" {
		return nil, strict.Errorf("envoy_grpc.cluster_name", "empty")
	}
	c := &client{cluster: g.GetClusterName(), authority: g.GetAuthority(), timeout: defaultTimeout, clusters: clusters, metadata: metadata.MD{}}
	if c.authority == "" {
		c.authority = c.cluster
	}
	if t := m.GetTimeout(); t != nil {
		if c.timeout = t.AsDuration(); t.CheckValid() != nil || c.timeout <= 0 {
			return nil, strict.Errorf("timeout", "must be above 0")
		}
	}
	for i, h := range m.GetInitialMetadata() {
		if err := strict.Only(h, "key", "value"); err != nil {
			return nil, strict.AtIndex("initial_metadata", i, err)
		}
		name := strings.ToLower(h.GetKey())
		if !http1.ValidName(name) || strings.HasSuffix(name, "-bin") || !http1.ValidValue(h.GetValue()) {
			return nil, strict.AtIndex("initial_metadata", i, strict.Errorf("", "is no header"))
		}
		if strings.Contains(h.GetValue(), "%") {
			return nil, strict.AtIndex("initial_metadata", i, strict.Errorf("value", "formatters: %w", strict.ErrUnsupported))
		}
		c.metadata.Append(name, h.GetValue())
	}
	return c, nil
}

// settings are a compiled ExtAuthzPerRoute.
type settings struct {
	disabled   bool
	extensions map[string]string
}

// Over implements filter.Merger: context_extensions of all levels count, the most
// specific first; the rest is the most specific's.
func (s *settings) Over(less any) any {
	l, ok := less.(*settings)
	if !ok || len(l.extensions) == 0 {
		return s
	}
	out := &settings{disabled: s.disabled, extensions: map[string]string{}}
	for _, level := range []map[string]string{l.extensions, s.extensions} {
		for k, v := range level {
			out.extensions[k] = v
		}
	}
	return out
}

func compilePerRoute(a *anypb.Any) (any, error) {
	var m authzv3.ExtAuthzPerRoute
	if err := strict.Unpack(a, &m); err != nil {
		return nil, err
	}
	if err := strict.Only(&m, "disabled", "check_settings"); err != nil {
		return nil, err
	}
	switch o := m.GetOverride().(type) {
	case *authzv3.ExtAuthzPerRoute_Disabled:
		if !o.Disabled {
			return nil, strict.Errorf("disabled", "must be true")
		}
		return &settings{disabled: true}, nil
	case *authzv3.ExtAuthzPerRoute_CheckSettings:
		// Without with_request_body there is nothing to switch off.
		if err := strict.Only(o.CheckSettings, "context_extensions", "disable_request_body_buffering"); err != nil {
			return nil, strict.At("check_settings", err)
		}
		return &settings{extensions: o.CheckSettings.GetContextExtensions()}, nil
	}
	return nil, strict.Errorf("override", "missing")
}
