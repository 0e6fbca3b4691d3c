package ratelimit

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"
	"unsafe"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	limitv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ratelimit/v3"
	rlsv3 "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"google.golang.org/grpc"

	"github.com/usher-mesh/usher/internal/proxy/counters"
	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/filter"
	"github.com/usher-mesh/usher/internal/proxy/proxytest"
	"github.com/usher-mesh/usher/internal/proxy/route"
	"github.com/usher-mesh/usher/internal/proxy/upstream"
)

// server answers what it is told, and tells what it was asked.
type server struct {
	rlsv3.UnimplementedRateLimitServiceServer
	says  *rlsv3.RateLimitResponse
	asked chan *rlsv3.RateLimitRequest
}

func (s *server) ShouldRateLimit(ctx context.Context, rq *rlsv3.RateLimitRequest) (*rlsv3.RateLimitResponse, error) {
	select {
	case s.asked <- rq:
	default:
	}
	if s.says == nil {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return s.says, nil
}

// start starts a server, and gives a filter that asks it.
func start(t *testing.T, fields string) (*server, *Filter, *counters.Set) {
	t.Helper()
	s := &server{asked: make(chan *rlsv3.RateLimitRequest, 10)}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := grpc.NewServer()
	rlsv3.RegisterRateLimitServiceServer(g, s)
	go g.Serve(ln)
	t.Cleanup(g.Stop)
	c, err := upstream.Compile(proxytest.Decode(t, `{name: limits, connect_timeout: 1s, load_assignment: {cluster_name: limits, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: `+
		strconv.Itoa(ln.Addr().(*net.TCPAddr).Port)+`}}}}]}]}, typed_extension_protocol_options: {envoy.extensions.upstreams.http.v3.HttpProtocolOptions: {"@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions, explicit_http_config: {http2_protocol_options: {}}}}}`,
		&clusterv3.Cluster{}), upstream.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	set := &counters.Set{}
	f, err := newFilter(t, fields, set, c)
	if err != nil {
		t.Fatal(err)
	}
	return s, f, set
}

const service = "domain: d, timeout: 5s, rate_limit_service: {transport_api_version: V3, grpc_service: {envoy_grpc: {cluster_name: limits}}}"

func newFilter(t *testing.T, fields string, set *counters.Set, c *upstream.Cluster) (*Filter, error) {
	t.Helper()
	up, err := upstream.Compile(proxytest.Decode(t, "{name: up, connect_timeout: 1s, alt_stat_name: up-shown}", &clusterv3.Cluster{}), upstream.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(up.Close)
	clusters := func(name string) *upstream.Cluster {
		if name == "up" {
			return up
		}
		return c
	}
	f, err := Factory(Options{Clusters: clusters, Counters: set, Node: "me", Log: slog.New(slog.DiscardHandler)}).New(filter.Config{
		Name: "m", Typed: proxytest.Pack(t, "{"+fields+"}", &limitv3.RateLimit{})})
	if err != nil {
		return nil, err
	}
	return f.(*Filter), nil
}

// sample is a request to a route with such limits.
func sample(t *testing.T, limits string) *exchange.Exchange {
	t.Helper()
	table, err := route.Compile(proxytest.Decode(t, `{virtual_hosts: [{name: v, domains: ["*"], routes: [{match: {prefix: /}, route: {cluster: up, rate_limits: [`+limits+`]}}]}]}`, &routev3.RouteConfiguration{}), nil)
	if err != nil {
		t.Fatal(err)
	}
	x := &exchange.Exchange{Conn: &exchange.Conn{Remote: netip.MustParseAddrPort("127.0.0.2:5")}}
	x.Request.Method, x.Request.Path, x.Request.Authority = "GET", "/p", "a"
	x.Route = table.Lookup(x, "")
	return x
}

const generic = "{actions: [{generic_key: {descriptor_value: a}}]}"

// An answer that injects, frames or says nothing counts as none.
func TestInvalidAnswers(t *testing.T) {
	s, f, set := start(t, service+", failure_mode_deny: true")
	for _, h := range []*corev3.HeaderValue{
		nil, {Key: "a", Value: "b\r\nc: d"}, {Key: "a b", Value: "c"}, {Key: "", Value: "c"}, {Key: "Content-Length", Value: "5"}, {Key: ":path", Value: "/admin"}, {Key: "host", Value: "evil"}, {Key: "a", RawValue: []byte("b\nc")},
	} {
		for i := range 2 {
			s.says = &rlsv3.RateLimitResponse{OverallCode: rlsv3.RateLimitResponse_OK}
			switch {
			case h == nil && i == 0:
				s.says.OverallCode = rlsv3.RateLimitResponse_UNKNOWN
			case h == nil:
				s.says.OverallCode, s.says.RawBody = rlsv3.RateLimitResponse_OVER_LIMIT, make([]byte, maxBody+1)
			case i == 0:
				s.says.RequestHeadersToAdd = []*corev3.HeaderValue{{Key: "good", Value: "one"}, h}
			default:
				s.says.ResponseHeadersToAdd = []*corev3.HeaderValue{{Key: "good", Value: "one"}, h}
			}
			x := sample(t, generic)
			if f.Decode(x) || x.Response.Status != 500 || x.Flags != "RLSE" || x.Request.Header.Len()+x.Response.Header.Len() > 0 {
				t.Errorf("%v: %d %s", s.says, x.Response.Status, x.Flags)
			}
		}
	}
	count := func(name string) int64 {
		return set.Of(counters.Name{Scope: counters.Cluster, Of: "up-shown", Name: "ratelimit." + name}).Load()
	}
	if count("error") != 16 || count("failure_mode_allowed") != 0 {
		t.Errorf("%d errors, %d allowed", count("error"), count("failure_mode_allowed"))
	}
}

// What is counted is named by the configuration, not by what is in a request's buffer,
// which holds another request later.
func TestCountersOutliveTheRequest(t *testing.T) {
	s, f, set := start(t, service)
	s.says = &rlsv3.RateLimitResponse{OverallCode: rlsv3.RateLimitResponse_OK}
	table, err := route.Compile(proxytest.Decode(t, `{virtual_hosts: [{name: v, domains: ["*"], routes: [{match: {prefix: /}, route: {cluster_header: to, rate_limits: [`+generic+`]}}]}]}`, &routev3.RouteConfiguration{}), nil)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		buffer := []byte("up")
		x := &exchange.Exchange{Conn: &exchange.Conn{}}
		x.Request.Method, x.Request.Path, x.Request.Authority = "GET", "/p", "a"
		x.Request.Header.Add("to", unsafe.String(&buffer[0], len(buffer)))
		x.Route = table.Lookup(x, "")
		if !f.Decode(x) {
			t.Fatal(x.Response.Status)
		}
		copy(buffer, "xx")
	}
	if all := set.List(); len(all) != 1 || all[0].Of != "up-shown" || all[0].Value != 2 {
		t.Errorf("counted %v", all)
	}
}

// A server that hangs holds nobody longer than the timeout, nor longer than the client.
func TestHangs(t *testing.T) {
	_, f, _ := start(t, strings.Replace(service, "5s", "0.05s", 1))
	x := sample(t, generic)
	if !f.Decode(x) {
		t.Error("refused, although limits fail open")
	}
	_, f, _ = start(t, strings.Replace(service, "5s", "100s", 1))
	x = sample(t, generic)
	x.Watch = func(gone func()) func() { time.AfterFunc(10*time.Millisecond, gone); return func() {} }
	if f.Decode(x) || x.Response.Status != 0 {
		t.Error("a client that is gone is answered, or goes on")
	}
}

// What counts at the end is told then, and refuses nobody.
func TestAtEnd(t *testing.T) {
	s, f, _ := start(t, service)
	s.says = &rlsv3.RateLimitResponse{OverallCode: rlsv3.RateLimitResponse_OVER_LIMIT}
	x := sample(t, strings.Replace(generic, "{actions", "{apply_on_stream_done: true, actions", 1))
	if !f.Decode(x) || len(s.asked) != 0 {
		t.Fatal("asked before the end")
	}
	x.End()
	select {
	case q := <-s.asked:
		if q.GetDescriptors()[0].GetEntries()[0].GetValue() != "a" {
			t.Error(q)
		}
	case <-time.After(5 * time.Second):
		t.Error("not asked")
	}
	again := sample(t, generic)
	again.Again = true
	if !f.Decode(again) || len(s.asked) != 0 {
		t.Error("a lasting connection spends again")
	}
}

func TestRefusedConfigurations(t *testing.T) {
	per := func(p string) string { return service + ", rate_limits: [" + p + "]" }
	const at = "rate_limits[0]."
	for text, path := range map[string]string{
		"rate_limit_service: {transport_api_version: V3}": "domain",
		"domain: d": "rate_limit_service.transport_api_version",
		"domain: d, rate_limit_service: {transport_api_version: V3}": "rate_limit_service.grpc_service.envoy_grpc.cluster_name",
		service + ", stage: 11":                                                                               "stage",
		service + ", request_type: internal":                                                                  "request_type",
		strings.Replace(service, "5s", "0s", 1):                                                               "timeout",
		service + ", rate_limited_status: {code: 600}":                                                        "rate_limited_status.code",
		service + ", status_on_error: {code: 0}":                                                              "status_on_error.code",
		per("{}"):                                                                                             at + "actions",
		per("{stage: 1, actions: [{source_cluster: {}}]}"):                                                    at + "stage",
		per("{actions: [{}]}"):                                                                                at + "actions[0].action_specifier",
		per("{actions: [{request_headers: {descriptor_key: a}}]}"):                                            at + "actions[0].request_headers.header_name",
		per("{actions: [{request_headers: {header_name: a}}]}"):                                               at + "actions[0].request_headers.descriptor_key",
		per("{actions: [{masked_remote_address: {v4_prefix_mask_len: 33}}]}"):                                 at + "actions[0].masked_remote_address.v4_prefix_mask_len",
		per("{actions: [{generic_key: {}}]}"):                                                                 at + "actions[0].generic_key.descriptor_value",
		per("{actions: [{header_value_match: {descriptor_value: a}}]}"):                                       at + "actions[0].header_value_match.headers",
		per("{actions: [{query_parameter_value_match: {descriptor_value: a}}]}"):                              at + "actions[0].query_parameter_value_match.query_parameters",
		per("{actions: [{remote_address_match: {descriptor_value: a, address_matcher: {ranges: [{}]}}}]}"):    at + "actions[0].remote_address_match.address_matcher.ranges[0].address_prefix",
		per("{actions: [{dynamic_metadata: {descriptor_key: a, metadata_key: {key: a, path: [{key: b}]}}}]}"): at + "actions[0].dynamic_metadata",
		per("{actions: [{metadata: {descriptor_key: a, metadata_key: {key: a}}}]}"):                           at + "actions[0].metadata.metadata_key.path",
		per("{actions: [{source_cluster: {}}], hits_addend: {format: '%BYTES_RECEIVED%'}}"):                   at + "hits_addend.format",
		per("{actions: [{source_cluster: {}}], hits_addend: {number: 1000000001}}"):                           at + "hits_addend.number",
		per("{actions: [{source_cluster: {}}], limit: {}}"):                                                   at + "limit.override_specifier",
	} {
		if _, err := newFilter(t, text, nil, nil); err == nil || !strings.HasPrefix(err.Error(), path+":") {
			t.Errorf("%s: %v", text, err)
		}
	}
}
