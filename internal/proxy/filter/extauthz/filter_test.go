package extauthz

import (
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"log/slog"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	authzv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_authz/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	statuspb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/usher-mesh/usher/internal/jsondoc"
	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/filter"
	"github.com/usher-mesh/usher/internal/proxy/proxytest"
	"github.com/usher-mesh/usher/internal/proxy/upstream"
)

func pack(t testing.TB, m proto.Message) *anypb.Any {
	t.Helper()
	a, err := anypb.New(m)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

const overGRPC = "transport_api_version: V3, grpc_service: {envoy_grpc: {cluster_name: authz}}"

func newFilter(t testing.TB, fields string) (*Filter, error) {
	t.Helper()
	f, err := Factory(Options{Clusters: func(string) *upstream.Cluster { return nil }, Log: slog.New(slog.DiscardHandler)}).New(filter.Config{
		Name: "authz", Typed: pack(t, proxytest.Decode(t, "{"+fields+"}", &authzv3.ExtAuthz{})), LocalURI: func() string { return "spiffe://t/us" }})
	if err != nil {
		return nil, err
	}
	return f.(*Filter), nil
}

func sample() *exchange.Exchange {
	x := &exchange.Exchange{Conn: &exchange.Conn{Remote: netip.MustParseAddrPort("127.0.0.2:5"), Local: netip.MustParseAddrPort("127.0.0.1:80")}}
	x.Request.Method, x.Request.Path, x.Request.Authority, x.Request.Scheme, x.Request.ProtoMajor = "GET", "/p?a=1&b=2", "a.test", "http", 2
	return x
}

// Without a server nothing passes, unless the configuration says so.
func TestFailsClosed(t *testing.T) {
	for fields, want := range map[string]struct {
		passes bool
		status int
	}{
		overGRPC: {false, 403},
		overGRPC + ", status_on_error: {code: ServiceUnavailable}":                                                     {false, 503},
		overGRPC + ", failure_mode_allow: true":                                                                        {true, 0},
		overGRPC + ", filter_enabled: {default_value: {numerator: 0}}":                                                 {true, 0},
		overGRPC + ", filter_enabled: {default_value: {numerator: 0}}, deny_at_disable: {default_value: true}":         {false, 403},
		overGRPC + ", filter_enabled_metadata: {filter: f, path: [{key: k}], value: {present_match: true}}":            {true, 0},
		overGRPC + ", filter_enabled_metadata: {filter: m, path: [{key: k}], value: {string_match: {exact: v}}}":       {false, 403},
		overGRPC + ", filter_enabled_metadata: {filter: m, path: [{key: k}], value: {string_match: {exact: 'other'}}}": {true, 0},
	} {
		f, err := newFilter(t, fields)
		if err != nil {
			t.Fatal(err)
		}
		x := sample()
		x.SetMetadata("m", "k", jsondoc.Of("v"))
		if got := f.Decode(x); got != want.passes || x.Response.Status != want.status || !got && x.Flags != "UAEX" {
			t.Errorf("%s: %v %d %s", fields, got, x.Response.Status, x.Flags)
		}
	}
}

// says is a server that always answers the same.
type says struct{ rs *authv3.CheckResponse }

func (s says) check(_ context.Context, q *question) (*verdict, error) {
	return read(s.rs, q.x.Request.Path)
}
func (says) limit() time.Duration { return time.Second }
func (says) cluster() string      { return "authz" }

// What a server must not be able to say: header injection, framing, targets.
func TestInvalidAnswers(t *testing.T) {
	for _, h := range []string{
		`{key: a, value: "b\r\nc: d"}`, `{key: a, value: "b\nc"}`, `{key: a, value: "b\0"}`, `{key: "a b", value: c}`, `{key: "a:", value: c}`, `{key: "", value: c}`,
		`{key: Content-Length, value: "5"}`, `{key: transfer-encoding, value: chunked}`, `{key: connection, value: close}`, `{key: upgrade, value: h2c}`,
		`{key: host, value: evil}`, `{key: ":path", value: /admin}`, `{key: ":authority", value: evil}`, `{key: a, raw_value: "Yg0KYzogZA=="}`,
	} {
		for _, field := range []string{"headers", "response_headers_to_add"} {
			ok := proxytest.Decode(t, "{headers: [{header: {key: good, value: one}}], "+field+": [{header: "+h+"}]}", &authv3.OkHttpResponse{})
			if field == "headers" {
				ok = proxytest.Decode(t, "{headers: [{header: {key: good, value: one}}, {header: "+h+"}]}", &authv3.OkHttpResponse{})
			}
			for _, rs := range []*authv3.CheckResponse{
				{Status: &statuspb.Status{}, HttpResponse: &authv3.CheckResponse_OkResponse{OkResponse: ok}},
				{HttpResponse: &authv3.CheckResponse_DeniedResponse{DeniedResponse: proxytest.Decode(t, "{headers: [{header: "+h+"}]}", &authv3.DeniedHttpResponse{})}, Status: &statuspb.Status{Code: 7}},
			} {
				f, err := newFilter(t, overGRPC)
				if err != nil {
					t.Fatal(err)
				}
				f.service = says{rs}
				x := sample()
				if f.Decode(x) || x.Response.Status != 500 || x.Request.Header.Len() != 0 || x.Response.Header.Len() != 0 {
					t.Errorf("%s in %s: %d %v", h, field, x.Response.Status, x.Request.Header.Fields())
				}
			}
		}
	}
	for _, q := range []string{`{key: a, value: "b c"}`, `{key: a, value: "b&c=d"}`, `{key: "a=b", value: c}`, `{key: "a&b", value: c}`, `{key: "", value: c}`, `{key: a, value: "#"}`, `{key: a, value: "\r\n"}`} {
		if p, err := query("/p", proxytest.Decode(t, "{query_parameters_to_set: ["+q+"]}", &authv3.OkHttpResponse{})); err == nil {
			t.Errorf("%s: %q", q, p)
		}
	}
	f, err := newFilter(t, overGRPC)
	if err != nil {
		t.Fatal(err)
	}
	if f.service = (says{&authv3.CheckResponse{Status: &statuspb.Status{Code: 7}}}); f.Decode(sample()) {
		t.Error("an empty refusal passes")
	}
}

func TestQuery(t *testing.T) {
	for text, want := range map[string]string{
		`{}`: "",
		`{query_parameters_to_set: [{key: c, value: d}]}`:                                  "/p?a=1&b=2&a=3&c=d",
		`{query_parameters_to_set: [{key: a, value: d}]}`:                                  "/p?b=2&a=d",
		`{query_parameters_to_remove: [a]}`:                                                "/p?b=2",
		`{query_parameters_to_remove: [a, b]}`:                                             "/p",
		`{query_parameters_to_remove: [c], query_parameters_to_set: [{key: c, value: d}]}`: "/p?a=1&b=2&a=3",
	} {
		if got, err := query("/p?a=1&b=2&a=3", proxytest.Decode(t, text, &authv3.OkHttpResponse{})); err != nil || got != want {
			t.Errorf("%s: %q %v", text, got, err)
		}
	}
}

// What the server is told of the client, and that a certificate which the mesh does not
// vouch for gives no identity of the mesh.
func TestAsked(t *testing.T) {
	f, err := newFilter(t, overGRPC+", include_peer_certificate: true, include_tls_session: true, metadata_context_namespaces: [jwt], allowed_headers: {patterns: [{prefix: 'a'}, {exact: ':path'}]}, disallowed_headers: {patterns: [{exact: authorization}]}")
	if err != nil {
		t.Fatal(err)
	}
	x := sample()
	x.Conn.TLS, x.Conn.SNI, x.Conn.PeerURI = true, "sni.test", "spiffe://t/them"
	x.Conn.Peer = &x509.Certificate{Raw: []byte("der+"), Subject: pkix.Name{CommonName: "cn"}}
	x.Request.Header.Add("authorization", "Bearer secret")
	x.Request.Header.Add("accept", "\xff")
	x.Request.Header.Add("cookie", "c")
	x.SetMetadata("jwt", "payload", jsondoc.Of(map[string]any{"sub": "me"}))
	x.SetMetadata("other", "k", jsondoc.Of("v"))
	a := (&question{x: x, f: f, s: &settings{extensions: map[string]string{"a": "b"}}}).request().GetAttributes()
	if got := a.GetRequest().GetHttp().GetHeaders(); !reflect.DeepEqual(got, map[string]string{":path": "/p?a=1&b=2", "accept": "!"}) {
		t.Errorf("headers %v", got)
	}
	m := a.GetMetadataContext().GetFilterMetadata()
	if len(m) != 1 || m["jwt"].GetFields()["payload"].GetStructValue().GetFields()["sub"].GetStringValue() != "me" {
		t.Errorf("metadata %v", m)
	}
	if s, d := a.GetSource(), a.GetDestination(); s.GetPrincipal() != "spiffe://t/them" || d.GetPrincipal() != "spiffe://t/us" ||
		!strings.HasPrefix(s.GetCertificate(), "-----BEGIN%20CERTIFICATE-----%0A") || a.GetTlsSession().GetSni() != "sni.test" {
		t.Errorf("%v %v", s, d)
	}
	x.Conn.PeerURI, x.Conn.Foreign = "", true
	if p := f.source(x).GetPrincipal(); p != "CN=cn" {
		t.Errorf("a foreign certificate is %q", p)
	}
}

// Nothing that a client says keeps the question from being asked: it would be let in where
// failures are.
func TestAskedWhateverTheClientSays(t *testing.T) {
	f, err := newFilter(t, overGRPC+", include_tls_session: true, metadata_context_namespaces: [m], failure_mode_allow: true")
	if err != nil {
		t.Fatal(err)
	}
	const bad = "a\xff"
	for name, say := range map[string]func(*exchange.Exchange){
		"a header":      func(x *exchange.Exchange) { x.Request.Header.Add("a", bad) },
		"its service":   func(x *exchange.Exchange) { x.Request.Header.Add("x-envoy-downstream-service-cluster", bad) },
		"a server name": func(x *exchange.Exchange) { x.Conn.SNI = bad },
		"a DNS name":    func(x *exchange.Exchange) { x.Conn.Peer = &x509.Certificate{DNSNames: []string{bad}} },
		"a subject": func(x *exchange.Exchange) {
			x.Conn.Peer = &x509.Certificate{Subject: pkix.Name{CommonName: bad}}
		},
		"metadata": func(x *exchange.Exchange) { x.SetMetadata("m", bad, jsondoc.Of(bad)) },
	} {
		x := sample()
		say(x)
		if _, err := proto.Marshal((&question{x: x, f: f, s: none}).request()); err != nil {
			t.Errorf("%s that is not UTF-8: %v", name, err)
		}
	}
}

func TestPerRoute(t *testing.T) {
	compile := func(text string) *settings {
		c, err := compilePerRoute(pack(t, proxytest.Decode(t, text, &authzv3.ExtAuthzPerRoute{})), &Options{})
		if err != nil {
			t.Fatal(err)
		}
		return c.(*settings)
	}
	host, route := compile(`{check_settings: {context_extensions: {a: host, b: host}}}`), compile(`{check_settings: {context_extensions: {b: route, c: route}}}`)
	if got := route.Over(host).(*settings).extensions; !reflect.DeepEqual(got, map[string]string{"a": "host", "b": "route", "c": "route"}) {
		t.Error(got)
	}
	if !compile(`{disabled: true}`).Over(host).(*settings).disabled || route.Over(compile(`{disabled: true}`)).(*settings).disabled {
		t.Error("who is disabled")
	}
}

const uri = "server_uri: {uri: 'http://authz', cluster: authz, timeout: 1s}"

func httpUnder(fields string) string {
	return "transport_api_version: V3, http_service: {" + fields + "}"
}

func TestRefusedConfigurations(t *testing.T) {
	const grpc = "transport_api_version: V3, grpc_service: "
	for text, path := range map[string]string{
		"transport_api_version: V2, grpc_service: {envoy_grpc: {cluster_name: a}}": "transport_api_version",
		"transport_api_version: V3":                                                                 "services",
		"transport_api_version: V3, http_service: {}":                                               "http_service.server_uri.uri",
		grpc + "{google_grpc: {target_uri: a, stat_prefix: b}}":                                     "grpc_service.google_grpc",
		grpc + "{envoy_grpc: {}}":                                                                   "grpc_service.envoy_grpc.cluster_name",
		grpc + "{envoy_grpc: {cluster_name: a}, timeout: 0s}":                                       "grpc_service.timeout",
		grpc + "{envoy_grpc: {cluster_name: a}, retry_policy: {}}":                                  "grpc_service.retry_policy",
		overGRPC + ", with_request_body: {}":                                                        "with_request_body.max_request_bytes",
		overGRPC + ", with_request_body: {max_request_bytes: 4294967295}":                           "with_request_body.max_request_bytes",
		grpc + "{envoy_grpc: {cluster_name: a, authority: 'a b'}}":                                  "grpc_service.envoy_grpc.authority",
		grpc + "{envoy_grpc: {cluster_name: a}, initial_metadata: [{key: te, value: x}]}":           "grpc_service.initial_metadata[0]",
		overGRPC + ", shadow_mode: true":                                                            "shadow_mode",
		overGRPC + ", decoder_header_mutation_rules: {}":                                            "decoder_header_mutation_rules",
		overGRPC + ", allowed_headers: {}":                                                          "allowed_headers.patterns",
		overGRPC + ", disallowed_headers: {patterns: [{}]}":                                         "disallowed_headers.patterns[0].match_pattern",
		overGRPC + ", status_on_error: {code: 100}":                                                 "status_on_error.code",
		httpUnder("server_uri: {uri: a, cluster: b, timeout: 0s}"):                                  "http_service.server_uri.timeout",
		httpUnder("server_uri: {uri: a, timeout: 1s}"):                                              "http_service.server_uri.cluster",
		httpUnder(uri + ", path_prefix: 'a'"):                                                       "http_service.path_prefix",
		httpUnder(uri + ", path_prefix: '/a b'"):                                                    "http_service.path_prefix",
		httpUnder(uri + ", path_prefix: /a, path_override: /b"):                                     "http_service.path_override",
		httpUnder(uri + ", retry_policy: {}"):                                                       "http_service.retry_policy",
		httpUnder(uri + ", authorization_request: {headers_to_add: [{key: host, value: a}]}"):       "http_service.authorization_request.headers_to_add[0]",
		httpUnder(uri + ", authorization_request: {headers_to_add: [{key: a, value: '%REQ(b)%'}]}"): "http_service.authorization_request.headers_to_add[0].value",
		httpUnder(uri + ", authorization_request: {allowed_headers: {patterns: [{}]}}"):             "http_service.authorization_request.allowed_headers.patterns[0].match_pattern",
		httpUnder(uri+", authorization_request: {allowed_headers: {patterns: [{exact: a}]}}") + ", allowed_headers: {patterns: [{exact: a}]}": "http_service.authorization_request.allowed_headers",
	} {
		if _, err := newFilter(t, text); err == nil || !strings.HasPrefix(err.Error(), path+":") {
			t.Errorf("%s: %v", text, err)
		}
	}
}
