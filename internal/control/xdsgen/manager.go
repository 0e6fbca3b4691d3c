package xdsgen

import (
	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	filelogv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/file/v3"
	faultv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/fault/v3"
	grpcstatsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/grpc_stats/v3"
	routerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/usher-mesh/usher/internal/mesh"
)

// manager is what one HTTP connection manager is made from.
type manager struct {
	stat    string
	routes  routes
	guards  []*hcmv3.HttpFilter // in front of the router, in order
	mtls    bool                // the peers prove who they are
	edge    bool                // a gateway's
	inbound bool
}

type routes func(*hcmv3.HttpConnectionManager)

func overRDS(name string) routes {
	return func(m *hcmv3.HttpConnectionManager) {
		m.RouteSpecifier = &hcmv3.HttpConnectionManager_Rds{Rds: &hcmv3.Rds{ConfigSource: overADS(), RouteConfigName: name}}
	}
}

func inline(c *routev3.RouteConfiguration) routes {
	return func(m *hcmv3.HttpConnectionManager) {
		m.RouteSpecifier = &hcmv3.HttpConnectionManager_RouteConfig{RouteConfig: c}
	}
}

// filterOrder is the order of HTTP filters: what stands earlier decides first.
// A filter that the version does not have yet is not in the table.
//
//	jwt     tokens are verified before anything asks for their claims
//	legacy  the Policy form's tokens: its own filter, since a missing token is refused
//	rbac    DENY before ALLOW, both with the verified claims at hand; AUDIT last
//	router  sends the request on
var filterOrder = []func(*mesh.Security, *place) []*hcmv3.HttpFilter{
	jwtFilter,
	legacyFilter,
	rbacFilters,
}

// guardsOf makes the filters in front of the router. While something that selects
// the workload could not be translated, one filter alone refuses everything.
func guardsOf(s *mesh.Security, at *place) []*hcmv3.HttpFilter {
	if len(s.Denied) > 0 {
		return []*hcmv3.HttpFilter{denyAll(s.Denied)}
	}
	var out []*hcmv3.HttpFilter
	for _, f := range filterOrder {
		out = append(out, f(s, at)...)
	}
	return out
}

// place is the port that filters are made for.
type place struct {
	port uint16 // the number that policies name
}

func httpFilter(name string, m proto.Message) *hcmv3.HttpFilter {
	return &hcmv3.HttpFilter{Name: name, ConfigType: &hcmv3.HttpFilter_TypedConfig{TypedConfig: pack(m)}}
}

// filters are the guards, what counts messages of gRPC for Istio's metrics, what routes to
// other workloads may configure, and the router.
func (m *manager) filters() []*hcmv3.HttpFilter {
	out := append([]*hcmv3.HttpFilter(nil), m.guards...)
	out = append(out, httpFilter("envoy.filters.http.grpc_stats", &grpcstatsv3.FilterConfig{
		EmitFilterState:        true,
		PerMethodStatSpecifier: &grpcstatsv3.FilterConfig_StatsForAllMethods{StatsForAllMethods: wrapperspb.Bool(false)},
	}))
	if !m.inbound {
		out = append(out, httpFilter(faultName, &faultv3.HTTPFault{DisableDownstreamClusterStats: true}))
	}
	return append(out, httpFilter("envoy.filters.http.router", &routerv3.Router{}))
}

func (m *manager) filter() *listenerv3.Filter {
	h := &hcmv3.HttpConnectionManager{
		StatPrefix: m.stat, NormalizePath: wrapperspb.Bool(true), AccessLog: accessLog(),
		GenerateRequestId:         wrapperspb.Bool(true),
		UseRemoteAddress:          wrapperspb.Bool(m.edge),
		StreamIdleTimeout:         durationpb.New(m.streamIdle()),
		ServerName:                "usher",
		UpgradeConfigs:            []*hcmv3.HttpConnectionManager_UpgradeConfig{{UpgradeType: "websocket"}},
		ForwardClientCertDetails:  hcmv3.HttpConnectionManager_SANITIZE,
		HttpFilters:               m.filters(),
		CommonHttpProtocolOptions: &corev3.HttpProtocolOptions{IdleTimeout: durationpb.New(idleTimeout)},
	}
	if len(m.guards) > 0 {
		// What is judged must be what the service understands: many take // for / and
		// %2F for a slash.
		h.MergeSlashes = true
		h.PathWithEscapedSlashesAction = hcmv3.HttpConnectionManager_UNESCAPE_AND_FORWARD
	}
	if m.inbound || m.edge {
		h.RequestHeadersTimeout = durationpb.New(headersTimeout)
	}
	if m.inbound {
		h.ServerHeaderTransformation = hcmv3.HttpConnectionManager_PASS_THROUGH
	}
	if m.mtls {
		h.ForwardClientCertDetails = hcmv3.HttpConnectionManager_SANITIZE_SET
		h.SetCurrentClientCertDetails = &hcmv3.HttpConnectionManager_SetCurrentClientCertDetails{
			Subject: wrapperspb.Bool(true), Uri: true,
		}
	}
	m.routes(h)
	return &listenerv3.Filter{
		Name:       "envoy.filters.network.http_connection_manager",
		ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: pack(h)},
	}
}

// accessLogFormat is Istio's: Envoy's default with the response code's detail and
// the upstream's addresses.
const accessLogFormat = `[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% ` +
	`%RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %BYTES_RECEIVED% %BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% ` +
	`"%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" "%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%" %UPSTREAM_CLUSTER%` + "\n"

// accessLogPath is where lines go; usher-proxy puts the workload's own file there.
const accessLogPath = "/dev/stdout"

func accessLog() []*accesslogv3.AccessLog {
	return []*accesslogv3.AccessLog{{
		Name: "envoy.access_loggers.file",
		ConfigType: &accesslogv3.AccessLog_TypedConfig{TypedConfig: pack(&filelogv3.FileAccessLog{
			Path: accessLogPath,
			AccessLogFormat: &filelogv3.FileAccessLog_LogFormat{LogFormat: &corev3.SubstitutionFormatString{
				Format: &corev3.SubstitutionFormatString_TextFormatSource{TextFormatSource: &corev3.DataSource{
					Specifier: &corev3.DataSource_InlineString{InlineString: accessLogFormat},
				}},
			}},
		})},
	}}
}
