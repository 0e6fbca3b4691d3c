package logs

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	datav3 "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	alsv3 "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/usher-mesh/usher/test/conformance/beside"
	"github.com/usher-mesh/usher/test/harness"
)

// als takes entries by Envoy's own service.
type als struct {
	mu      sync.Mutex
	entries []string // as text, less what is different each time
	senders []string
	bodies  []byte
}

func (s *als) StreamAccessLogs(stream alsv3.AccessLogService_StreamAccessLogsServer) error {
	for {
		m, err := stream.Recv()
		if err == io.EOF {
			return stream.SendAndClose(&alsv3.StreamAccessLogsResponse{})
		}
		if err != nil {
			return err
		}
		s.mu.Lock()
		b, _ := proto.Marshal(m)
		s.bodies = append(s.bodies, b...)
		if id := m.Identifier; id != nil {
			s.senders = append(s.senders, id.LogName+" "+id.Node.GetId()+" "+id.Node.GetCluster())
		}
		for _, e := range m.GetHttpLogs().GetLogEntry() {
			e.Request.RequestHeadersBytes, e.Request.UpstreamHeaderBytesSent, e.Request.DownstreamHeaderBytesReceived = 0, 0, 0
			// Envoy adds why a connection failed.
			e.Response.ResponseCodeDetails = strings.Replace(e.Response.ResponseCodeDetails, "|delayed_connect_error:_Connection_refused", "", 1)
			if e.Request.ForwardedFor != "" { // which tells Envoy whose the request is
				e.CommonProperties.DownstreamRemoteAddress = nil
			}
			e.Response.ResponseHeadersBytes, e.Response.UpstreamHeaderBytesReceived, e.Response.DownstreamHeaderBytesSent = 0, 0, 0
			s.entries = append(s.entries, scrubbed(e.CommonProperties)+text(e))
		}
		for _, e := range m.GetTcpLogs().GetLogEntry() {
			e.CommonProperties.StreamId = "" // connections have no id here
			s.entries = append(s.entries, scrubbed(e.CommonProperties)+text(e))
		}
		s.mu.Unlock()
	}
}

func (s *als) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.entries)
}

func text(m proto.Message) string {
	return strings.Join(strings.Fields(prototext.MarshalOptions{Multiline: true}.Format(m)), " ")
}

// scrubbed takes out what is different each time or not measured, and tells which times there
// are.
func scrubbed(c *datav3.AccessLogCommon) string {
	for _, a := range []*corev3.Address{c.DownstreamRemoteAddress, c.DownstreamDirectRemoteAddress, c.DownstreamLocalAddress, c.UpstreamRemoteAddress, c.UpstreamLocalAddress} {
		if s := a.GetSocketAddress(); s != nil {
			s.PortSpecifier = nil
		}
	}
	recent := time.Since(c.StartTime.AsTime()).Abs() < time.Minute
	times := ""
	for _, d := range []**durationpb.Duration{&c.Duration, &c.TimeToLastRxByte, &c.TimeToLastUpstreamTxByte, &c.TimeToFirstUpstreamRxByte, &c.TimeToLastUpstreamRxByte, &c.TimeToFirstDownstreamTxByte, &c.TimeToLastDownstreamTxByte} {
		times += fmt.Sprint(*d != nil, " ")
		*d = nil
	}
	c.UpstreamTransportFailureReason = strings.ReplaceAll(c.UpstreamTransportFailureReason, " ", "_") // as lines have it
	c.StartTime, c.TimeToFirstUpstreamTxByte = nil, nil
	c.DownstreamWireBytesSent, c.DownstreamWireBytesReceived, c.UpstreamWireBytesSent, c.UpstreamWireBytesReceived = 0, 0, 0, 0
	return fmt.Sprint("recent=", recent, " times=", times)
}

// TestALS holds that Envoy's access log service is told of requests and connections what Envoy
// tells it, less secrets.
func TestALS(t *testing.T) {
	const (
		jwt   = "eyJhbGciOiJSUzI1NiIsImtpZCI6ImEifQ.eyJpc3MiOiJJc3N1ZXIiLCJzdWIiOiJBbGljZSJ9.c2lnbmF0dXJlT2ZUaGVUb2tlbjAx"
		state = `http_filters: [{name: state, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.set_filter_state.v3.Config, on_request_headers: [
			{object_key: tenant, factory_key: envoy.string, format_string: {text_format_source: {inline_string: "t <%REQ(:PATH)%>"}}}]}},
			{name: meta, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC, shadow_rules_stat_prefix: p_, shadow_rules: {action: ALLOW, policies: {a: {permissions: [{any: true}], principals: [{any: true}]}}}}},
			{name: grpc, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.grpc_stats.v3.FilterConfig, emit_filter_state: true}}]`
	)
	asks := []ask{
		{}, {path: "/a?b=c", header: []string{"x-tag: v", "x-tag: w", "referer: http://r/", "x-forwarded-for: 1.2.3.4", "user-agent: me"}}, {method: "POST", body: "content"}, {path: "/status/404", http2: true}, {path: "/dead"}, {path: "/nowhere"}, {path: "/retry/status/503"},
		{path: "/direct"}, {path: "/rewritten/x"}, {path: "/none", method: "DELETE"}, {method: "POST", path: "/S/M", body: "\x00\x00\x00\x00\x01a", http2: true, header: []string{"content-type: application/grpc", "te: trailers", "x-status: 3"}},
		{header: []string{"x-tag: \"quoted\" \\ \t tab", "x-request-id: mine"}}, {header: []string{"authorization: Bearer " + jwt, "cookie: session=" + jwt, "x-tag: " + jwt}, path: "/?access_token=" + jwt},
	}
	last := len(asks) - 1 // has secrets, so that its entry differs
	const typed = beside.Types + "access_loggers.grpc.v3."
	for name, tt := range map[string]struct {
		log, manager string
		tcp          bool
	}{
		"plain":  {log: ""},
		"fields": {log: `additional_request_headers_to_log: [x-tag, X-None, ":path", ":method", ":authority", ":scheme", host, Content-Type, cookie], additional_response_headers_to_log: [x-up, content-type, ":status"], additional_response_trailers_to_log: [grpc-status, x-none]`},
		"state":  {log: `common_config: {filter_state_objects_to_log: [tenant, none, envoy.filters.http.grpc_stats], custom_tags: [{tag: lit, literal: {value: a}}, {tag: head, request_header: {name: x-tag}}, {tag: def, request_header: {name: x-none, default_value: d}}]}`, manager: state},
		"tcp":    {tcp: true},
	} {
		t.Run(name, func(t *testing.T) {
			var entries, senders [2][]string
			for i, program := range beside.Programs(t) {
				s := new(als)
				ports := harness.FreePorts(t, 2)
				to := beside.ServeGRPC(t, func(g *grpc.Server) { alsv3.RegisterAccessLogServiceServer(g, s) })
				log := object{}
				beside.Read(t, "{"+tt.log+"}", &log)
				log["@type"] = typed + "HttpGrpcAccessLogConfig"
				common, _ := log["common_config"].(object)
				if common == nil {
					common = object{}
				}
				beside.Read(t, `{log_name: mine, transport_api_version: V3, buffer_flush_interval: 0.05s, grpc_service: {envoy_grpc: {cluster_name: als}, timeout: 5s}}`, &common)
				log["common_config"] = common
				w := &world{name: "w", manager: tt.manager, routes: `[{name: dead, match: {path: /dead}, route: {cluster: dead}}, {match: {path: /nowhere}, route: {cluster: none}}, {match: {path: /direct}, direct_response: {status: 204}},
					{name: again, match: {prefix: /retry/}, route: {cluster: up, prefix_rewrite: /, retry_policy: {retry_on: 5xx, num_retries: 1}}}, {match: {prefix: /rewritten/}, route: {cluster: up, prefix_rewrite: /, host_rewrite_literal: other}},
					{match: {path: /none}, redirect: {path_redirect: /}}, {name: r, match: {prefix: /}, route: {cluster: up}}]`, filter: "{not_health_check_filter: {}}"}
				l := w.listener(t, ports[0], t.TempDir())
				chain := l["filter_chains"].(list)[0].(object)
				if tt.tcp {
					log["@type"] = typed + "TcpGrpcAccessLogConfig"
					chain["filters"] = list{object{"name": "tcp", "typed_config": object{"@type": beside.Types + "filters.network.tcp_proxy.v3.TcpProxy", "stat_prefix": "t", "cluster": "echo",
						"access_log": list{object{"name": "log", "typed_config": log}}}}}
				} else {
					hcm := chain["filters"].(list)[0].(object)["typed_config"].(object)
					hcm["access_log"].(list)[0].(object)["typed_config"] = log
				}
				stop := beside.Start(t, ports, beside.Bootstrap(ports[1], list{l}, list{beside.Cluster("up", beside.Serve(t, http.HandlerFunc(upstream), false), false), beside.Cluster("als", to, true),
					beside.Cluster("dead", 1, false), beside.Cluster("echo", echo(t), false)}), program)
				if tt.tcp {
					talk(t, ports[0])
					harness.Eventually(t, 30*time.Second, "the entry", func() (bool, any) {
						s.mu.Lock()
						defer s.mu.Unlock()
						// Others are of connections that ask whether the program listens.
						s.entries = slices.DeleteFunc(s.entries, func(e string) bool { return !strings.Contains(e, "received_bytes: 5 ") })
						return len(s.entries) == 1, len(s.entries)
					})
				} else {
					for k := range asks {
						asks[k].send(ports[0])
						if k+1 >= last { // the last one's entry comes last, others in any order
							harness.Eventually(t, 30*time.Second, "entries", func() (bool, any) { return s.count() == k+1, s.count() })
						}
					}
				}
				harness.Eventually(t, 30*time.Second, "counters", func() (bool, any) {
					if tt.tcp { // Envoy counts none of them
						return true, nil
					}
					_, page := beside.Page(t, ports[1], "/stats?filter=logs_")
					told := strings.Contains(page, fmt.Sprintf("access_logs.grpc_access_log.logs_written: %d\n", last+1)) && strings.Contains(page, "access_logs.grpc_access_log.logs_dropped: 0\n")
					return told, page
				})
				stop()
				s.mu.Lock()
				n := min(last, len(s.entries))
				slices.Sort(s.entries[:n])
				entries[i] = s.entries[:n]
				senders[i] = slices.Compact(s.senders)
				if !program.Envoy && strings.Contains(string(s.bodies), "c2lnbmF0dXJl") {
					t.Error("the server is told a token")
				}
				s.mu.Unlock()
			}
			for k, e := range entries[0] {
				if u := entries[1][k]; e != u {
					t.Errorf("Envoy: %s\nusher: %s", e, u)
				}
			}
			if !slices.Equal(senders[0], senders[1]) {
				t.Errorf("senders:\nEnvoy: %q\nusher: %q", senders[0], senders[1])
			}
		})
	}
}

// echo is a server that gives back what it gets.
func echo(t *testing.T) (port int) {
	return beside.ServeTCP(t, func(c net.Conn) { io.Copy(c, c) })
}

// talk sends something and waits for the answer and the end.
func talk(t *testing.T, port int) {
	t.Helper()
	c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	io.WriteString(c, "hello")
	c.(*net.TCPConn).CloseWrite()
	if b, err := io.ReadAll(c); string(b) != "hello" {
		t.Fatalf("%q %v", b, err)
	}
}
