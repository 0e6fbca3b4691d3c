package examples

import (
	"crypto/tls"
	"strings"
	"time"
)

const (
	one = "https://one.example.com"
	two = "https://two.example.com"
)

// trailer is a request whose trailer has a name with an underscore.
const trailer = "POST / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nc-d: e\r\na_b: c\r\n\r"

// claims are those of a token of an issuer that expires in an hour.
func claims(issuer, audience string) map[string]any {
	return map[string]any{"iss": issuer, "aud": audience, "sub": "me", "exp": time.Now().Add(time.Hour).Unix(), "user_id": "u1", "firebase": map[string]any{"sign_in_provider": "google"}}
}

func bearer(issuer, audience string) string {
	return "Authorization: Bearer " + token(claims(issuer, audience))
}

// examples are those of github.com/envoyproxy/examples and of Envoy's documentation.
var examples = []example{
	{name: "front_proxy", asks: []ask{
		get("EDGE", "/service/1"), get("EDGE", "/service/2"), get("EDGE", "/service/3"), get("EDGE", "/"),
		secure(session{}, "EDGE_TLS", "/service/1"), secure(session{max: tls.VersionTLS12}, "EDGE_TLS", "/service/2"),
		get("SIDE1", "/service/1"), get("SIDE1", "/service/2"),
	}},
	{name: "local_ratelimit", asks: []ask{
		get("PROXY", "/"), get("PROXY", "/"), get("PROXY", "/"), get("STATS", "/nothing"), get("STATS", "/nothing"), get("STATS", "/stats/prometheus"),
	}},
	{name: "tls", asks: []ask{
		get("HTTP_TO_TLS", "/"), secure(session{}, "TLS_TO_HTTP", "/"), secure(session{sni: "any.test", alpn: []string{"http/1.1"}}, "TLS_TO_TLS", "/"),
		secure(session{sni: "any.test"}, "PASSTHROUGH", "/"), secure(session{alpn: []string{"h2"}}, "PASSTHROUGH", "/"),
		line(nil, "TLS_TO_HTTP", "GET / HTTP/1.1\r\nHost: a\r\n\r"),
	}},
	{name: "tls_sni", asks: []ask{
		secure(session{sni: "domain1.example.com"}, "PROXY", "/"), secure(session{sni: "DOMAIN2.example.com"}, "PROXY", "/"), secure(session{sni: "domain3.example.com"}, "PROXY", "/"),
		secure(session{sni: "domain4.example.com"}, "PROXY", "/"), secure(session{}, "PROXY", "/"), get("PROXY", "/"),
		get("CLIENT", "/domain1"), get("CLIENT", "/domain2"), get("CLIENT", "/domain3"), get("CLIENT", "/domain4"),
	}},
	{name: "tls_inspector", asks: []ask{
		secure(session{alpn: []string{"h2"}}, "PROXY", "/"), secure(session{alpn: []string{"http/1.1"}}, "PROXY", "/"), secure(session{alpn: []string{"h2", "http/1.1"}}, "PROXY", "/"),
		get("PROXY", "/"),
	}},
	{name: "double_proxy", asks: []ask{
		line(nil, "PROXY", "select 1"), line(nil, "WRONG", "select 1"), line(&session{cert: "front"}, "REMOTE", "select 1"),
		line(&session{cert: "other"}, "REMOTE", "select 1"), line(&session{max: tls.VersionTLS12}, "REMOTE", "select 1"),
		line(nil, "REMOTE", "select 1").but("what is not TLS is closed without an alert"),
	}},
	{name: "first_steps_tls", asks: []ask{
		secure(session{cert: "domain1"}, "PROXY", "/").but("upstreams are spoken to in TLS 1.3; Envoy stays at 1.2 unless told"), secure(session{cert: "domain2", max: tls.VersionTLS12}, "PROXY", "/"), secure(session{max: tls.VersionTLS12}, "PROXY", "/"),
	}},
	{name: "websocket", asks: []ask{
		socket(nil, "WS", "/"), socket(nil, "ROUTE", "/ws"), socket(nil, "ROUTE", "/"), get("ROUTE", "/"), socket(&session{}, "WSS", "/"), socket(&session{}, "PASSTHROUGH", "/"),
		get("WS", "/"),
	}},
	{name: "grpc", asks: []ask{
		call("PROXY", "a"), call("PROXY", "missing"), get("PROXY", "/"), send("POST", "PROXY", "/kv.KV/Get", "x", "content-type: application/json"),
	}},
	{name: "static_secrets", asks: []ask{
		secure(session{}, "STATIC", "/"), secure(session{cert: "domain2", max: tls.VersionTLS12}, "STATIC", "/"),
	}},
	{name: "traffic_splitting", asks: []ask{
		get("PROXY", "/named", "x-to: service"), get("PROXY", "/named"), get("PROXY", "/named", "x-to: none"),
		get("PROXY", "/again", "x-again: yes"), get("PROXY", "/again"),
	}},
	{name: "connection_limits", asks: []ask{hold("FEW", 4), hold("MORE", 8)}},
	{name: "underscores", asks: []ask{
		get("DROP", "/", "a_b: c", "a-b: d"), get("REJECT", "/", "a_b: c"), get("REJECT", "/", "a-b: c"),
		line(nil, "DROP", trailer), line(nil, "REJECT", trailer),
	}},
	{name: "route_mirror", asks: []ask{
		send("GET", "PROXY", "/service/1?a", "").seen(true), send("POST", "PROXY", "/service/1", "content", "host: a.test:81").seen(true),
		get("PROXY", "/service/2", "x-mirror-cluster: mirror").seen(true), get("PROXY", "/service/2").seen(false), get("PROXY", "/service/2", "x-mirror-cluster: none").seen(false),
		get("PROXY", "/never").seen(false), get("PROXY", "/plain").seen(true), get("PROXY", "/other").seen(true), get("PROXY", "/service/1/hang").seen(true),
		send("POST", "PROXY", "/service/1", strings.Repeat("x", 200<<10)).seen(true),
	}},
	{name: "fault", asks: []ask{get("PROXY", "/status/200"), get("PROXY", "/", "x-envoy-fault-abort-request: 503").but("x-envoy-* of outsiders is dropped")}},
	{name: "cors", asks: []ask{
		get("PROXY", "/cors/open", "Origin: https://a.test"), get("PROXY", "/cors/disabled", "Origin: https://a.test"), get("PROXY", "/cors/restricted", "Origin: https://a.test"),
		get("PROXY", "/cors/restricted", "Origin: https://www.envoyproxy.io"), get("PROXY", "/cors/open"), get("PROXY", "/cors/open", "Origin: *"),
		send("OPTIONS", "PROXY", "/cors/open", "", "Origin: https://a.test", "Access-Control-Request-Method: GET"),
		send("OPTIONS", "PROXY", "/cors/restricted", "", "Origin: https://www.envoyproxy.io", "Access-Control-Request-Method: GET"),
		send("OPTIONS", "PROXY", "/cors/disabled", "", "Origin: *", "Access-Control-Request-Method: GET"),
		get("PROXY", "/cors/shadow", "Origin: https://a.test"), send("OPTIONS", "PROXY", "/cors/shadow", "", "Origin: https://a.test", "Access-Control-Request-Method: GET"),
	}},
	{name: "ext_authz_grpc", asks: []ask{
		get("PROXY", "/service"), get("PROXY", "/service", "Authorization: Bearer foo"), get("PROXY", "/service", "Authorization: Bearer bar"),
	}},
	{name: "ext_authz_http", asks: []ask{
		get("PROXY", "/service"), get("PROXY", "/service", "Authorization: Bearer foo"), get("PROXY", "/service", "Authorization: Bearer bar"),
	}},
	{name: "jwt", asks: []ask{
		get("PROXY", "/health"), get("PROXY", "/api"), get("PROXY", "/api", bearer(one, "api")), get("PROXY", "/api", bearer(one, "bookstore_web")), get("PROXY", "/api", bearer(two, "api")),
		get("PROXY", "/any", bearer(one, "bookstore_web")), get("PROXY", "/any", "x-jwt-header: jwt_value"+token(claims(two, "x"))), get("PROXY", "/any"),
		get("PROXY", "/all", bearer(one, "bookstore_android")), get("PROXY", "/all", bearer(one, "bookstore_android"), "x-jwt-header: jwt_value"+token(claims(two, "x"))),
		get("PROXY", "/any", bearer("https://three.example.com", "bookstore_web")),
	}},
	{name: "edge", asks: []ask{
		secure(session{sni: "example.com", alpn: []string{"h2", "http/1.1"}}, "PROXY", "/a//b/../c"), secure(session{sni: "www.example.com"}, "PROXY", "/a%2fb"), secure(session{sni: "other.com"}, "PROXY", "/"),
		secure(session{sni: "example.com"}, "PROXY", "/", "a_b: c"), secure(session{sni: "example.com", alpn: []string{"h2"}}, "PROXY", "/", "a_b: c"),
		secure(session{sni: "example.com"}, "PROXY", "/", "x-forwarded-for: 1.2.3.4", "x-envoy-retry-on: 5xx"),
	}},
}
