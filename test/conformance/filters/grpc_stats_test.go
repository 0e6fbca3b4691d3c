package filters

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/usher-mesh/usher/test/conformance/beside"
)

// calls is a server that answers what the query says: the status of HTTP, messages, and
// grpc-status in trailers or in the head.
func calls(w http.ResponseWriter, r *http.Request) {
	io.Copy(io.Discard, r.Body)
	q := r.URL.Query()
	w.Header()["Date"] = nil
	w.Header().Set("content-type", "application/grpc")
	if t := q.Get("type"); t != "" {
		w.Header().Set("content-type", t)
	}
	if s := q.Get("head"); s != "" {
		w.Header().Set("grpc-status", s)
	}
	status := 200
	fmt.Sscan(q.Get("http"), &status)
	w.WriteHeader(status)
	var n int
	fmt.Sscan(q.Get("messages"), &n)
	for range n {
		io.WriteString(w, message(3))
		w.(http.Flusher).Flush()
	}
	if q.Has("trailer") {
		w.Header().Set(http.TrailerPrefix+"grpc-status", q.Get("trailer"))
	}
	if q.Has("other") {
		w.Header().Set(http.TrailerPrefix+"x-other", "1")
	}
}

// message is one of gRPC, with so many bytes.
func message(n int) string {
	return string([]byte{0, 0, 0, byte(n >> 8), byte(n)}) + strings.Repeat("m", n)
}

// TestGRPCStats: what is counted of calls, by service and method or not, and the filter
// state with the numbers of their messages.
func TestGRPCStats(t *testing.T) {
	post := func(path, body string, header ...string) ask {
		return ask{method: "POST", path: path, body: body, http2: true, header: append([]string{"content-type: application/grpc", "te: trailers"}, header...)}
	}
	one := message(5)
	usual := []ask{
		post("/a.B/M?messages=1&trailer=0", one), post("/S/M?messages=1&trailer=0", one), post("/S/M?messages=3&trailer=0", one+one), post("/S/M?trailer=14&other", one), post("/S/N?messages=1&trailer=2", one),
		post("/S/M?messages=1&trailer=16", one), post("/S/M?head=7", one), post("/S/M?head=0&messages=2&trailer=0", one), post("/S/M", one), post("/S/M?messages=1", one), post("/S/M?messages=1&other", one),
		post("/S/M?http=503", one), post("/S/M?http=503&messages=1&trailer=0", one), post("/S/M?messages=1&trailer=0&type=application/grpc%2Bproto", one), post("/S/M?messages=1&trailer=0&type=application/grpc-web", one),
		post("/S/M?messages=1&trailer=0&type=text/plain", one), post("/S/M?messages=1&trailer=0", ""), post("/S/M?messages=1&trailer=0", one+"\x00"), post("/S/M?trailer=0", one+"\x00\x00\x00\x00"), post("/S/M?trailer=0", message(0)+message(0)+message(1)),
		post("/S/M?trailer=0", "\x01\xff\xff\xff\xffx"), post("/S/M?trailer=0", "\xff\x00\x00\x00\x01x"+one), post("/S/M?trailer=0&messages=1", strings.Repeat(message(300), 200)),
		post("/S?trailer=0&messages=1", one), post("/S/?trailer=0&messages=1", one), post("//S//M//?trailer=0&messages=1", one), post("/S/M/x?trailer=0&messages=1", one), post("/?trailer=0&messages=1", one),
		{method: "POST", path: "/S/M?messages=1&trailer=0", body: one, http2: true, header: []string{"content-type: application/grpc-web"}},
		{method: "POST", path: "/S/M?messages=1&trailer=0", body: one, http2: true, header: []string{"content-type: application/grpc;x=y"}},
		{method: "POST", path: "/S/M?messages=1&trailer=0", body: one, http2: true, header: []string{"content-type: application/grpc+json"}},
		{method: "POST", path: "/S/M?messages=1&trailer=0", body: one, header: []string{"content-type: application/grpc"}},
		{method: "POST", path: "/S/M?messages=1&trailer=0", body: one, http2: true},
		{path: "/S/M?trailer=0", http2: true, header: []string{"content-type: application/grpc"}},
		post("/none/S/M", one), post("/dead/S/M", one), post("/dead/M", one),
	}
	for i := range usual {
		// Envoy adds why a connection failed, which here is in %UPSTREAM_TRANSPORT_FAILURE_REASON%.
		usual[i].loose = strings.HasPrefix(usual[i].path, "/dead")
	}
	var clusters []any
	of := func(name, fields string, asks ...ask) *world {
		clusters = append(clusters, beside.Cluster(name, beside.Serve(t, http.HandlerFunc(calls), true), true))
		w := &world{name: name, asks: asks, stats: []string{"cluster." + name + ".grpc."},
			filters: "[{name: m, typed_config: {'@type': type.googleapis.com/envoy.extensions.filters.http.grpc_stats.v3.FilterConfig, " + fields + "}}]",
			routes:  "[{match: {prefix: /none}, route: {cluster: none}}, {match: {prefix: /dead}, route: {cluster: dead}}, {match: {prefix: /}, route: {cluster: " + name + ", prefix_rewrite: /S/M}}]",
			log:     "|%FILTER_STATE(envoy.filters.http.grpc_stats)%|%FILTER_STATE(envoy.filters.http.grpc_stats:PLAIN)%|%FILTER_STATE(envoy.filters.http.grpc_stats:FIELD:request_message_count)%"}
		if !strings.Contains(fields, "a.B") && name != "all" { // whose service has a dot
			w.counters = []string{"envoy_cluster_grpc_"}
		}
		return w
	}
	clusters = append(clusters, beside.Cluster("dead", 1, true))
	compare(t, []*world{
		of("plain", "", usual...),
		of("state", "emit_filter_state: true", usual...),
		of("all", "stats_for_all_methods: true, enable_upstream_stats: true, emit_filter_state: true", usual...),
		of("never", "stats_for_all_methods: false, enable_upstream_stats: true", usual...),
		of("dots", "stats_for_all_methods: true, replace_dots_in_grpc_service_name: true", usual...),
		of("list", "individual_method_stats_allowlist: {services: [{name: S, method_names: [M]}, {name: a.B, method_names: [M]}]}, replace_dots_in_grpc_service_name: true", usual...),
	}, clusters...)
}
