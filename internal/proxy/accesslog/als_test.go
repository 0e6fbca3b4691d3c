package accesslog

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"log/slog"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	datav3 "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"

	"github.com/usher-mesh/usher/internal/jsondoc"
	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/proxytest"
	"github.com/usher-mesh/usher/internal/proxy/upstream"
)

// TestALSRefused names what is not taken, with its place.
func TestALSRefused(t *testing.T) {
	const good = "log_name: a, transport_api_version: V3, grpc_service: {envoy_grpc: {cluster_name: c}}"
	for fields, want := range map[string]string{
		"common_config: {log_name: a, transport_api_version: V2}":                                                               "typed_config.common_config.transport_api_version: V2: not supported",
		"common_config: {log_name: a}":                                                                                          "typed_config.common_config.grpc_service: missing",
		"common_config: {transport_api_version: V3, grpc_service: {envoy_grpc: {cluster_name: c}}}":                             "typed_config.common_config.log_name: empty",
		"common_config: {log_name: a, transport_api_version: V3}":                                                               "typed_config.common_config.grpc_service: missing",
		"common_config: {log_name: a, transport_api_version: V3, grpc_service: {google_grpc: {target_uri: x, stat_prefix: z}}}": "typed_config.common_config.grpc_service.google_grpc: not supported",
		"common_config: {" + good + ", grpc_stream_retry_policy: {}}":                                                           "typed_config.common_config.grpc_stream_retry_policy: not supported",
		"common_config: {" + good + ", buffer_size_bytes: 2000000}":                                                             "typed_config.common_config.buffer_size_bytes: above 1048576",
		"common_config: {" + good + ", buffer_flush_interval: 0s}":                                                              "typed_config.common_config.buffer_flush_interval: must be above 0",
		"common_config: {" + good + ", custom_tags: [{tag: a}]}":                                                                "typed_config.common_config.custom_tags[0].type: missing",
	} {
		for _, kind := range []string{"Http", "Tcp"} {
			m := proxytest.Decode(t, `{name: l, typed_config: {"@type": type.googleapis.com/envoy.extensions.access_loggers.grpc.v3.`+kind+`GrpcAccessLogConfig, `+fields+`}}`, &accesslogv3.AccessLog{})
			o := Options{Files: &Files{}, Clusters: func(string) *upstream.Cluster { return nil }, Log: slog.New(slog.DiscardHandler)}
			if _, err := Compile(m, o); err == nil || err.Error() != want {
				t.Errorf("%s:\ngot  %v\nwant %s", fields, err, want)
			}
			if o.Clusters = nil; kind == "Tcp" {
				if _, err := Compile(m, o); err == nil || !strings.HasSuffix(err.Error(), "TcpGrpcAccessLogConfig: not supported") {
					t.Errorf("without clusters: %v", err)
				}
			}
		}
	}
}

// TestALSEntry: what a test with a real Envoy does not see, and hostile values, which are
// valid messages nevertheless.
func TestALSEntry(t *testing.T) {
	x := &exchange.Exchange{Start: time.Unix(1, 0), Flags: "UAEX", Unretried: "URX"}
	x.Conn = &exchange.Conn{TLS: true, SNI: "a\xff", Version: 0x0304, Cipher: 0x1301, Remote: netip.MustParseAddrPort("[::1]:8"),
		Peer: &x509.Certificate{Subject: pkix.Name{CommonName: "c"}, URIs: []*url.URL{{Scheme: "spiffe", Host: "t", Path: "/ns/a"}}}}
	x.Request.Path, x.Request.Method, x.Request.Authority = "/\xff", "CUSTOM", "\xff"
	x.Request.Header.Add("x-h", "\xff")
	x.UpstreamHost = "name:80"
	n, err := jsondoc.Parse(`{"deep": [1.5, null, {"k": "v"}], "s": "\ud83d\ude00"}`)
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range n.All() {
		x.SetMetadata("m", k, v)
	}
	l := &alsLog[*datav3.HTTPAccessLogEntry]{}
	e := (&httpEntry{request: []string{"x-h"}}).entry(x, l.common(x))
	if _, err := proto.Marshal(e); err != nil {
		t.Fatal(err)
	}
	got := strings.Join(strings.Fields(prototext.MarshalOptions{Multiline: true}.Format(e)), " ")
	const want = `common_properties: { downstream_remote_address: { socket_address: { address: "::1" port_value: 8 } } tls_properties: { tls_version: TLSv1_3 tls_cipher_suite: { value: 4865 } tls_sni_hostname: "a!" ` +
		`peer_certificate_properties: { subject_alt_name: { uri: "spiffe://t/ns/a" } subject: "CN=c" } } start_time: { seconds: 1 } response_flags: { unauthorized_details: { reason: EXTERNAL_SERVICE } upstream_retry_limit_exceeded: true } ` +
		`metadata: { filter_metadata: { key: "m" value: { fields: { key: "deep" value: { list_value: { values: { number_value: 1.5 } values: { null_value: NULL_VALUE } values: { struct_value: { fields: { key: "k" value: { string_value: "v" } } } } } } } fields: { key: "s" value: { string_value: "😀" } } } } } } ` +
		`protocol_version: HTTP11 request: { authority: "!" path: "/!" request_headers: { key: "x-h" value: "!" } } response: {}`
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
