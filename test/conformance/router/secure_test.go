package router

import "testing"

// TestSameSecure: who is sent to https by require_tls, and what else is true of such requests.
func TestSameSecure(t *testing.T) {
	const loopback = "use_remote_address: true, internal_address_config: {cidr_ranges: [{address_prefix: 127.0.0.0, prefix_len: 8}]},"
	routes := `[
      {name: gone, match: {path: /gone}, redirect: {host_redirect: b.test}},
      {name: any, match: {prefix: /}, route: {cluster: up}}]`
	from := func(path string, header ...string) ask { return ask{path: path, header: header} }
	asks := []ask{from("/"), from("/a?b=c"), from("/a", "x-forwarded-proto: https"), from("/a", "x-forwarded-proto: http"),
		from("/gone"), from("/gone", "x-forwarded-proto: https"), from("/a", "x-envoy-internal: true"),
		from("/a", "x-forwarded-for: 10.0.0.1"), from("/a", "x-forwarded-for: 10.0.0.1", "x-forwarded-proto: https"), {method: "POST", path: "/a", body: "content"},
		{method: "HEAD", path: "/a"}, from("/a", "content-type: application/grpc")}
	odd := append([]ask{from("/a", "x-forwarded-proto: HTTPS"), from("/a", "x-forwarded-proto: wss"), from("/a", "connection: upgrade", "upgrade: websocket")}, asks...)
	fields := `response_headers_to_add: [{header: {key: x-host, value: v}}], request_headers_to_add: [{header: {key: x-host, value: v}}], include_attempt_count_in_response: true,`
	worlds := []*world{
		{name: "all", host: "require_tls: ALL, " + fields, routes: routes, asks: odd},
		{name: "external", host: "require_tls: EXTERNAL_ONLY, " + fields, routes: routes, asks: odd},
		{name: "edge", manager: loopback, host: "require_tls: ALL,", routes: routes, asks: asks},
		{name: "inside", manager: loopback, host: "require_tls: EXTERNAL_ONLY,", routes: routes, asks: asks},
		{name: "none", host: "require_tls: NONE,", routes: routes, asks: asks},
	}
	compare(t, worlds, `
  - {name: up, UP}`, "http.all.rq_direct_response", "http.external.rq_direct_response", "http.edge.rq_direct_response", "http.inside.rq_direct_response", "http.all.rq_total", "http.all.downstream_rq_3xx")
}
