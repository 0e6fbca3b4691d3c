package hcm

import (
	"log/slog"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/usher-mesh/usher/internal/proxy/accesslog"
	"github.com/usher-mesh/usher/internal/proxy/filter"
	"github.com/usher-mesh/usher/internal/proxy/http1"
	"github.com/usher-mesh/usher/internal/proxy/origin"
	"github.com/usher-mesh/usher/internal/proxy/overload"
	"github.com/usher-mesh/usher/internal/proxy/route"
	"github.com/usher-mesh/usher/internal/proxy/strict"
)

const routerType = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"

// Compile makes a manager of Envoy's message. An error names the field.
func Compile(c *hcmv3.HttpConnectionManager, o Options) (*Manager, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Overload == nil {
		o.Overload = new(overload.State)
	}
	if err := strict.Only(c, "codec_type", "stat_prefix", "rds", "route_config", "http_filters", "common_http_protocol_options",
		"http_protocol_options", "http2_protocol_options", "server_name", "server_header_transformation", "max_request_headers_kb",
		"stream_idle_timeout", "request_timeout", "request_headers_timeout", "drain_timeout", "delayed_close_timeout", "access_log", "access_log_options",
		"use_remote_address", "xff_num_trusted_hops", "skip_xff_append", "via", "generate_request_id", "preserve_external_request_id",
		"always_set_request_id_in_response", "forward_client_cert_details", "set_current_client_cert_details", "upgrade_configs",
		"normalize_path", "merge_slashes", "path_with_escaped_slashes_action", "strip_matching_host_port", "strip_any_host_port",
		"strip_trailing_host_dot", "local_reply_config", "stream_error_on_invalid_http_message", "internal_address_config", "tracing"); err != nil {
		return nil, err
	}
	m := &Manager{o: o, statPrefix: c.GetStatPrefix()}
	m.hold()
	for _, step := range []func(*hcmv3.HttpConnectionManager) error{m.codec, m.timeouts, m.trust, m.paths, m.routing, m.httpFilters, m.accessLogs, m.localReplies, m.traces} {
		if err := step(c); err != nil {
			m.Close()
			return nil, err
		}
	}
	return m, nil
}

func (m *Manager) codec(c *hcmv3.HttpConnectionManager) error {
	switch c.GetCodecType() {
	case hcmv3.HttpConnectionManager_AUTO, hcmv3.HttpConnectionManager_HTTP1, hcmv3.HttpConnectionManager_HTTP2:
	default:
		return strict.Errorf("codec_type", "%s: %w", c.GetCodecType(), strict.ErrUnsupported)
	}
	m.codecType = c.GetCodecType()
	m.limits.HeadBytes = int(c.GetMaxRequestHeadersKb().GetValue()) << 10
	if m.limits.HeadBytes > 60<<10 {
		return strict.Errorf("max_request_headers_kb", "above 60: %w", strict.ErrUnsupported)
	}
	if p := c.GetHttpProtocolOptions(); p != nil {
		if err := strict.Only(p, "allow_absolute_url", "accept_http_10", "default_host_for_http_10", "enable_trailers",
			"override_stream_error_on_invalid_http_message", "use_balsa_parser", "allow_custom_methods", "header_key_format"); err != nil {
			return strict.At("http_protocol_options", err)
		}
		if p.GetHeaderKeyFormat().GetStatefulFormatter() != nil {
			return strict.Errorf("http_protocol_options.header_key_format.stateful_formatter", "%w", strict.ErrUnsupported)
		}
		if p.GetAllowAbsoluteUrl() != nil && !p.GetAllowAbsoluteUrl().GetValue() {
			return strict.Errorf("http_protocol_options.allow_absolute_url", "false: %w", strict.ErrUnsupported)
		}
		m.limits.Trailers, m.limits.CustomMethods = p.GetEnableTrailers(), p.GetAllowCustomMethods()
		m.limits.HTTP10, m.limits.DefaultHost = p.GetAcceptHttp_10(), p.GetDefaultHostForHttp_10()
	}
	if err := m.http2Options(c); err != nil {
		return err
	}
	if m.server = c.GetServerName(); m.server == "" {
		m.server = "envoy"
	}
	m.serverMode = c.GetServerHeaderTransformation()
	var err error
	m.upgrades, err = route.Upgrades(c.GetUpgradeConfigs())
	return err
}

// duration gives d, or the default if it is not set.
func duration(d *durationpb.Duration, def time.Duration) time.Duration {
	if d == nil {
		return def
	}
	return d.AsDuration()
}

func (m *Manager) timeouts(c *hcmv3.HttpConnectionManager) error {
	m.idle = time.Hour
	if p := c.GetCommonHttpProtocolOptions(); p != nil {
		if err := strict.Only(p, "idle_timeout", "max_connection_duration", "max_headers_count", "max_stream_duration",
			"max_requests_per_connection", "headers_with_underscores_action"); err != nil {
			return strict.At("common_http_protocol_options", err)
		}
		switch p.GetHeadersWithUnderscoresAction() {
		case corev3.HttpProtocolOptions_ALLOW:
		case corev3.HttpProtocolOptions_REJECT_REQUEST:
			m.limits.Underscores = http1.RefuseUnderscores
		case corev3.HttpProtocolOptions_DROP_HEADER:
			m.limits.Underscores = http1.DropUnderscores
		default:
			return strict.Errorf("common_http_protocol_options.headers_with_underscores_action", "%w", strict.ErrUnsupported)
		}
		m.http2.Underscores = m.limits.Underscores
		m.idle = duration(p.GetIdleTimeout(), m.idle)
		m.maxAge = p.GetMaxConnectionDuration().AsDuration()
		m.maxStream = p.GetMaxStreamDuration().AsDuration()
		m.maxRequests = int64(p.GetMaxRequestsPerConnection().GetValue())
		m.limits.Fields = int(p.GetMaxHeadersCount().GetValue())
	}
	m.streamIdle = duration(c.GetStreamIdleTimeout(), 5*time.Minute)
	m.requestTimeout = c.GetRequestTimeout().AsDuration()
	m.headers = duration(c.GetRequestHeadersTimeout(), 0)
	if m.headers == 0 {
		m.headers = time.Minute // no head takes for ever, whatever the configuration leaves open
	}
	m.delayedClose = duration(c.GetDelayedCloseTimeout(), time.Second)
	m.drain = duration(c.GetDrainTimeout(), 5*time.Second)
	return nil
}

func (m *Manager) trust(c *hcmv3.HttpConnectionManager) error {
	m.useRemote, m.trustedHops, m.skipXFFAppend = c.GetUseRemoteAddress().GetValue(), c.GetXffNumTrustedHops(), c.GetSkipXffAppend()
	if err := m.insideAddresses(c); err != nil {
		return err
	}
	m.requestID = c.GetGenerateRequestId() == nil || c.GetGenerateRequestId().GetValue()
	m.preserveID, m.idInResponse, m.via = c.GetPreserveExternalRequestId(), c.GetAlwaysSetRequestIdInResponse(), c.GetVia()
	m.xfcc = c.GetForwardClientCertDetails()
	if m.xfcc == hcmv3.HttpConnectionManager_ALWAYS_FORWARD_ONLY {
		return strict.Errorf("forward_client_cert_details", "ALWAYS_FORWARD_ONLY believes anybody: %w", strict.ErrUnsupported)
	}
	if d := c.GetSetCurrentClientCertDetails(); d != nil {
		if err := strict.Only(d, "subject", "dns", "uri"); err != nil {
			return strict.At("set_current_client_cert_details", err)
		}
		m.xfccDetails = d
	}
	return nil
}

func (m *Manager) paths(c *hcmv3.HttpConnectionManager) error {
	m.normalize, m.mergeSlashes = c.GetNormalizePath().GetValue(), c.GetMergeSlashes()
	m.escapedSlashes = c.GetPathWithEscapedSlashesAction()
	m.stripPort, m.stripAnyPort = c.GetStripMatchingHostPort(), c.GetStripAnyHostPort()
	m.stripDot = c.GetStripTrailingHostDot()
	return nil
}

func (m *Manager) routing(c *hcmv3.HttpConnectionManager) (err error) {
	switch r := c.GetRouteSpecifier().(type) {
	case *hcmv3.HttpConnectionManager_RouteConfig:
		m.table, err = route.Compile(r.RouteConfig, m.o.Filters)
		return strict.At("route_config", err)
	case *hcmv3.HttpConnectionManager_Rds:
		if err := strict.Only(r.Rds, "config_source", "route_config_name"); err != nil {
			return strict.At("rds", err)
		}
		source, err := origin.Open(r.Rds.GetConfigSource())
		if err != nil {
			return strict.At("rds.config_source", err)
		}
		if r.Rds.GetRouteConfigName() == "" {
			return strict.Errorf("rds.route_config_name", "empty")
		}
		m.routeName = origin.Name{Source: source, Name: r.Rds.GetRouteConfigName()}.Key()
		return nil
	}
	return strict.Errorf("route_specifier", "missing")
}

func (m *Manager) httpFilters(c *hcmv3.HttpConnectionManager) error {
	list := c.GetHttpFilters()
	for i, f := range list {
		if err := strict.Only(f, "name", "typed_config", "is_optional", "disabled"); err != nil {
			return strict.AtIndex("http_filters", i, err)
		}
		last := i == len(list)-1
		if f.GetTypedConfig().GetTypeUrl() == routerType {
			if !last {
				return strict.AtIndex("http_filters", i, strict.Errorf("", "the router must stand last"))
			}
			return strict.AtIndex("http_filters", i, strict.At("typed_config", m.router(f)))
		}
		if last {
			break
		}
		if err := m.httpFilter(f); err != nil {
			return strict.AtIndex("http_filters", i, err)
		}
	}
	return strict.Errorf("http_filters", "the last one must be the router")
}

func (m *Manager) router(f *hcmv3.HttpFilter) error {
	r := new(routerv3.Router)
	if err := strict.Unpack(f.GetTypedConfig(), r); err != nil {
		return err
	}
	m.suppressHeaders, m.respectExpected = r.GetSuppressEnvoyHeaders(), r.GetRespectExpectedRqTimeout()
	return strict.Only(r, "suppress_envoy_headers", "respect_expected_rq_timeout", "dynamic_stats", "start_child_span")
}

func (m *Manager) httpFilter(f *hcmv3.HttpFilter) error {
	for _, x := range m.o.Filters {
		if x.TypeURL != f.GetTypedConfig().GetTypeUrl() {
			continue
		}
		made, err := x.New(filter.Config{Name: f.GetName(), Typed: f.GetTypedConfig(), StatPrefix: m.statPrefix, LocalURI: m.o.LocalURI, Usher: m.o.Usher})
		if err != nil {
			return strict.At("typed_config", err)
		}
		m.filters = append(m.filters, namedFilter{f.GetName(), made, f.GetDisabled()})
		return nil
	}
	return strict.At("typed_config", strict.Unknown(f.GetTypedConfig()))
}

func (m *Manager) accessLogs(c *hcmv3.HttpConnectionManager) error {
	o := c.GetAccessLogOptions()
	err := strict.Only(o, "flush_access_log_on_new_request")
	if err != nil {
		return strict.At("access_log_options", err)
	}
	m.logsNew = o.GetFlushAccessLogOnNewRequest()
	m.logs, err = accesslog.CompileAll(c.GetAccessLog(), accesslog.Options{Files: m.o.AccessLogs, Clusters: m.o.Clusters, Node: m.o.Node, Counters: m.o.Counters, Log: m.o.Log})
	return err
}
