package extauthz

//lint:file-ignore SA1019 Envoy still reads the fields that it has deprecated, and control planes send them.

import (
	"strings"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authzv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_authz/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"

	"github.com/usher-mesh/usher/internal/proxy/http1"
	"github.com/usher-mesh/usher/internal/proxy/match"
	"github.com/usher-mesh/usher/internal/proxy/strict"
	"github.com/usher-mesh/usher/internal/proxy/upstream"
)

// config is a compiled ExtAuthz.
type config struct {
	service            service
	failureAllow       bool
	failureAllowHeader bool
	clearRoute         bool
	routeHeaders       map[string]bool // what clears the route; nil: any
	statusOnError      int
	content            *content // nil: the server sees none
	namespaces         []string
	routeNamespaces    []string
	routeTyped         []string
	labels             map[string]string // of this side
	enabled            match.Fraction
	enabledMetadata    *match.Metadata // nil: always
	denyDisabled       bool
	certificate, sni   bool
	raw                bool           // headers are told as they came
	allowed            []match.String // nil: all
	disallowed         []match.String
	ingest             bool // the server may write dynamic metadata
	maxBody            int  // of a refusal; 0: as it comes
}

// content is a compiled BufferSettings.
type content struct {
	most         int
	partial, raw bool
}

// compile compiles an ExtAuthz. What the server may change is always validated, whatever
// validate_mutations says. No filter leaves typed metadata that
// typed_metadata_context_namespaces could name; a cluster has no counters of statuses for
// charge_cluster_response_stats, and there are no traces for emit_client_span.
func compile(m *authzv3.ExtAuthz, o *Options) (*config, error) {
	if err := strict.Only(m, "grpc_service", "http_service", "transport_api_version", "failure_mode_allow", "failure_mode_allow_header_add",
		"with_request_body", "clear_route_cache", "clear_route_cache_headers", "status_on_error", "validate_mutations",
		"metadata_context_namespaces", "typed_metadata_context_namespaces", "route_metadata_context_namespaces",
		"route_typed_metadata_context_namespaces", "filter_enabled", "filter_enabled_metadata", "deny_at_disable",
		"include_peer_certificate", "include_tls_session", "stat_prefix", "bootstrap_metadata_labels_key", "allowed_headers",
		"disallowed_headers", "charge_cluster_response_stats", "encode_raw_headers", "enable_dynamic_metadata_ingestion",
		"max_denied_response_body_bytes", "emit_client_span"); err != nil {
		return nil, err
	}
	if m.GetTransportApiVersion() == corev3.ApiVersion_V2 {
		return nil, strict.Errorf("transport_api_version", "V2: %w", strict.ErrUnsupported)
	}
	c := &config{failureAllow: m.GetFailureModeAllow(), failureAllowHeader: m.GetFailureModeAllowHeaderAdd(), clearRoute: m.GetClearRouteCache(),
		statusOnError: 403, namespaces: m.GetMetadataContextNamespaces(), routeNamespaces: m.GetRouteMetadataContextNamespaces(),
		routeTyped: m.GetRouteTypedMetadataContextNamespaces(), denyDisabled: m.GetDenyAtDisable().GetDefaultValue().GetValue(),
		certificate: m.GetIncludePeerCertificate(), sni: m.GetIncludeTlsSession(), raw: m.GetEncodeRawHeaders(), maxBody: int(m.GetMaxDeniedResponseBodyBytes()),
		ingest: m.GetEnableDynamicMetadataIngestion() == nil || m.GetEnableDynamicMetadataIngestion().GetValue()}
	for _, n := range m.GetClearRouteCacheHeaders() {
		if c.routeHeaders == nil {
			c.routeHeaders = map[string]bool{}
		}
		c.routeHeaders[strings.ToLower(n)] = true
	}
	if key := m.GetBootstrapMetadataLabelsKey(); key != "" {
		c.labels = map[string]string{}
		for k, v := range o.Node.GetFields()[key].GetStructValue().GetFields() {
			c.labels[k] = v.GetStringValue()
		}
	}
	if s := m.GetStatusOnError(); s != nil {
		if c.statusOnError = int(s.GetCode()); c.statusOnError < 200 || c.statusOnError > 599 {
			return nil, strict.Errorf("status_on_error.code", "%d is not from 200 to 599", c.statusOnError)
		}
	}
	if err := strict.Only(m.GetDenyAtDisable(), "default_value", "runtime_key"); err != nil {
		return nil, strict.At("deny_at_disable", err)
	}
	var err error
	if c.content, err = compileContent(m.GetWithRequestBody()); err != nil {
		return nil, strict.At("with_request_body", err)
	}
	if m.GetFilterEnabled() == nil {
		c.enabled = match.Everything
	} else if c.enabled, err = match.CompileRuntimeFraction(m.GetFilterEnabled()); err != nil {
		return nil, strict.At("filter_enabled", err)
	}
	if f := m.GetFilterEnabledMetadata(); f != nil {
		if c.enabledMetadata, err = match.CompileMetadata(f); err != nil {
			return nil, strict.At("filter_enabled_metadata", err)
		}
	}
	if c.allowed, err = patterns(m.GetAllowedHeaders()); err != nil {
		return nil, strict.At("allowed_headers", err)
	}
	if c.disallowed, err = patterns(m.GetDisallowedHeaders()); err != nil {
		return nil, strict.At("disallowed_headers", err)
	}
	switch {
	case m.GetGrpcService() != nil:
		c.service, err = compileGRPC(m.GetGrpcService(), o)
		return c, strict.At("grpc_service", err)
	case m.GetHttpService() != nil:
		if m.GetAllowedHeaders() != nil && m.GetHttpService().GetAuthorizationRequest().GetAllowedHeaders() != nil {
			return nil, strict.Errorf("http_service.authorization_request.allowed_headers", "beside allowed_headers")
		}
		c.service, err = compileHTTP(m.GetHttpService(), o)
		return c, strict.At("http_service", err)
	}
	return nil, strict.Errorf("services", "missing: grpc_service or http_service")
}

func compileContent(m *authzv3.BufferSettings) (*content, error) {
	if m == nil {
		return nil, nil
	}
	if err := strict.Only(m, "max_request_bytes", "allow_partial_message", "pack_as_bytes"); err != nil {
		return nil, err
	}
	if m.GetMaxRequestBytes() == 0 || m.GetMaxRequestBytes() > maxContent {
		return nil, strict.Errorf("max_request_bytes", "%d is not from 1 to %d", m.GetMaxRequestBytes(), maxContent)
	}
	return &content{int(m.GetMaxRequestBytes()), m.GetAllowPartialMessage(), m.GetPackAsBytes()}, nil
}

// maxContent bounds what a request may have buffered of it.
const maxContent = 64 << 20

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

func compileGRPC(m *corev3.GrpcService, o *Options) (service, error) {
	u, err := upstream.CompileUnary(m, "/envoy.service.auth.v3.Authorization/Check", defaultTimeout)
	return &grpcService{u, o.Clusters}, err
}

func compileHTTP(m *authzv3.HttpService, o *Options) (service, error) {
	if err := strict.Only(m, "server_uri", "path_prefix", "path_override", "authorization_request", "authorization_response"); err != nil {
		return nil, err
	}
	u := m.GetServerUri()
	if err := strict.Only(u, "uri", "cluster", "timeout"); err != nil { // what the URI says is the cluster's matter
		return nil, strict.At("server_uri", err)
	}
	c := &httpService{name: u.GetCluster(), timeout: u.GetTimeout().AsDuration(), prefix: m.GetPathPrefix(), override: m.GetPathOverride(), clusters: o.Clusters}
	switch {
	case u.GetUri() == "":
		return nil, strict.Errorf("server_uri.uri", "empty")
	case c.name == "":
		return nil, strict.Errorf("server_uri.cluster", "empty")
	case u.GetTimeout().CheckValid() != nil || c.timeout <= 0:
		return nil, strict.Errorf("server_uri.timeout", "must be above 0")
	case c.prefix != "" && (c.prefix[0] != '/' || !http1.ValidTarget(c.prefix)):
		return nil, strict.Errorf("path_prefix", "%q is no path", c.prefix)
	case c.override != "" && (c.override[0] != '/' || !http1.ValidTarget(c.override)):
		return nil, strict.Errorf("path_override", "%q is no path", c.override)
	case c.prefix != "" && c.override != "":
		return nil, strict.Errorf("path_override", "beside path_prefix")
	}
	rq, rs := m.GetAuthorizationRequest(), m.GetAuthorizationResponse()
	if err := strict.Only(rq, "allowed_headers", "headers_to_add"); err != nil {
		return nil, strict.At("authorization_request", err)
	}
	if err := strict.Only(rs, "allowed_upstream_headers", "allowed_upstream_headers_to_append", "allowed_client_headers",
		"allowed_client_headers_on_success", "dynamic_metadata_from_headers"); err != nil {
		return nil, strict.At("authorization_response", err)
	}
	var err error
	if c.add, err = upstream.CompileFields(rq.GetHeadersToAdd()); err != nil {
		return nil, strict.At("authorization_request.headers_to_add", err)
	}
	for _, l := range []struct {
		path string
		from *matcherv3.ListStringMatcher
		to   *[]match.String
	}{
		{"authorization_request.allowed_headers", rq.GetAllowedHeaders(), &c.allowed},
		{"authorization_response.allowed_upstream_headers", rs.GetAllowedUpstreamHeaders(), &c.upstream},
		{"authorization_response.allowed_upstream_headers_to_append", rs.GetAllowedUpstreamHeadersToAppend(), &c.append},
		{"authorization_response.allowed_client_headers", rs.GetAllowedClientHeaders(), &c.client},
		{"authorization_response.allowed_client_headers_on_success", rs.GetAllowedClientHeadersOnSuccess(), &c.success},
		{"authorization_response.dynamic_metadata_from_headers", rs.GetDynamicMetadataFromHeaders(), &c.metadata},
	} {
		if *l.to, err = patterns(l.from); err != nil {
			return nil, strict.At(l.path, err)
		}
	}
	return c, nil
}
