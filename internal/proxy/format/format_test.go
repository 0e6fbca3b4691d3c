package format

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"math/big"
	"net/netip"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/structpb"

	"github.com/usher-mesh/usher/internal/jsondoc"
	"github.com/usher-mesh/usher/internal/proxy/exchange"
)

// Envoy's default format.
const line = `[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% %RESPONSE_FLAGS% ` +
	`%BYTES_RECEIVED% %BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" ` +
	`"%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%"` + "\n"

func request() *exchange.Exchange {
	x := &exchange.Exchange{Conn: &exchange.Conn{ID: 9, Remote: netip.MustParseAddrPort("127.0.0.1:1234"), Local: netip.MustParseAddrPort("127.0.0.2:80"), PeerURI: "spiffe://a/b",
		SNI: "a.test", Version: tls.VersionTLS13, Cipher: tls.TLS_AES_128_GCM_SHA256}}
	x.Start = time.Date(2026, 11, 4, 4, 5, 6, 789012345, time.UTC)
	x.RequestEnd, x.Sent, x.Answered, x.Ended = x.Start.Add(1500*time.Microsecond), x.Start.Add(2*time.Millisecond), x.Start.Add(3*time.Millisecond), x.Start.Add(12*time.Millisecond)
	x.Request.Method, x.Request.Authority, x.Request.Scheme = "GET", "preference:8080", "http"
	x.Request.Path = "/a?access_token=SECRET&%74ok=SECRET&b=c%20d"
	x.Request.ProtoMajor, x.Request.ProtoMinor = 1, 1
	x.Request.Header.Add("user-agent", "cur\"l\n")
	x.Request.Header.Add("authorization", "Bearer SECRET")
	x.Request.Header.Add("x-token", "SECRET")
	x.Request.Header.Add("cookie", "a=SECRET")
	x.Request.Header.Add("referer", "http://x/?tok=SECRET")
	x.Redact([]exchange.Secret{{Kind: exchange.SecretHeader, Name: "X-Token"}, {Kind: exchange.SecretParam, Name: "tok"}})
	x.Response.Status, x.Details, x.Cluster, x.UpstreamHost, x.UpstreamMajor = 200, "via_upstream", "c", "127.0.0.3:81", 2
	x.ClusterShown = "c"
	x.ClusterMetadata = map[string]jsondoc.Value{"n": jsondoc.Of(map[string]any{"k": "v"})}
	x.UpstreamLocal = netip.MustParseAddrPort("127.0.0.1:4000")
	x.Response.Header.Add("x-envoy-upstream-service-time", "3")
	x.BytesReceived, x.BytesSent, x.RequestID, x.LogType, x.RouteName = 5, 7, "id", "DownstreamEnd", "r"
	x.SetMetadata("jwt", "payload", jsondoc.Of(map[string]any{"sub": "a\nb", "n": json.Number("1.50"), "l": []any{"<", nil, true}}))
	x.SetFilterState("tenant", "blue")
	return x
}

func TestText(t *testing.T) {
	t.Setenv("FORMAT_TEST", "set")
	for _, tt := range []struct{ format, want string }{
		{line, `[2026-11-04T04:05:06.789Z] "GET /a?access_token=[redacted]&%74ok=[redacted]&b=c%20d HTTP/1.1" 200 - 5 7 12 3 "-" "cur\"l\x0a" "id" "preference:8080" "127.0.0.3:81"` + "\n"},
		{"%REQ(AUTHORIZATION)% %REQ(X-TOKEN)% %REQ(COOKIE)% %REQ(REFERER)% %REQ(X-NONE)% %REQ(X-NONE?:METHOD)%", "[redacted] [redacted] [redacted] http://x/?tok=[redacted] - GET"},
		{"%REQ(:AUTHORITY):4% %DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT% %DOWNSTREAM_LOCAL_PORT% %DOWNSTREAM_PEER_URI_SAN%%%", "pref 127.0.0.1 80 spiffe://a/b%"},
		{"%RESPONSE_CODE_DETAILS% %UPSTREAM_CLUSTER% %START_TIME(%Y/%m/%dT%H:%M:%S%z %s)% %START_TIME(%s.%3f %f %j %e %a%%)%", "via_upstream c 2026/11/04T04:05:06+0000 1793765106 1793765106.789 789012345 308  4 Wed%"},
		{"%DYNAMIC_METADATA(jwt:payload:sub)% %DYNAMIC_METADATA(jwt:payload:n)% %DYNAMIC_METADATA(jwt:payload:none)% %DYNAMIC_METADATA(none)% %FILTER_STATE(tenant:PLAIN):2% %FILTER_STATE(none:PLAIN)%", "a\\x0ab 1.50 - - bl -"},
		{"%REQUEST_DURATION% %REQUEST_TX_DURATION% %RESPONSE_DURATION% %RESPONSE_TX_DURATION% %COMMON_DURATION(DS_RX_BEG:DS_RX_END:us)% %COMMON_DURATION(US_TX_END:US_RX_BEG:ns)% %COMMON_DURATION(DS_TX_BEG:DS_TX_END:ms)% %COMMON_DURATION(DS_TX_END:DS_RX_BEG:ms)%", "1 2 3 9 1500 1000000 - -"},
		{"%PROTOCOL% %UPSTREAM_PROTOCOL% %DOWNSTREAM_TLS_VERSION% %DOWNSTREAM_TLS_CIPHER% %REQUESTED_SERVER_NAME% %CONNECTION_ID% %ROUTE_NAME% %ACCESS_LOG_TYPE%", "HTTP/1.1 HTTP/2 TLSv1.3 TLS_AES_128_GCM_SHA256 a.test 9 r DownstreamEnd"},
		{"%PATH%|%PATH(NQ)%|%QUERY_PARAM(b)%|%QUERY_PARAM(tok)%|%QUERY_PARAM(none)%|%QUERY_PARAMS%|%REQ_WITHOUT_QUERY(:PATH)%", "/a?access_token=[redacted]&%74ok=[redacted]&b=c%20d|/a|c d|[redacted]|-|access_token=[redacted]&%74ok=[redacted]&b=c%20d|/a"},
		{"%UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT% %UPSTREAM_REMOTE_PORT% %UPSTREAM_LOCAL_PORT% %UPSTREAM_LOCAL_ADDRESS% %ENVIRONMENT(FORMAT_TEST)% %ENVIRONMENT(FORMAT_TEST_NOT)% %VIRTUAL_CLUSTER_NAME% %CLUSTER_METADATA(n:k)% %CLUSTER_METADATA(n)% %CLUSTER_METADATA(n:x)%", "127.0.0.3 81 4000 127.0.0.1:4000 set - - v {\\\"k\\\":\\\"v\\\"} -"},
		{"%RESPONSE_HEADERS_BYTES% %RESPONSE_TRAILERS_BYTES%", "40 0"},
	} {
		f, err := Text(tt.format, false)
		if err != nil {
			t.Fatal(err)
		}
		if got := string(f.AppendLine(nil, &Subject{X: request()})); got != tt.want {
			t.Errorf("%s\ngot  %s\nwant %s", tt.format, got, tt.want)
		}
	}
}

func TestRefused(t *testing.T) {
	for _, bad := range []string{"%NOPE%", "%REQ(A", "%REQ(A):x%", "%START_TIME", "%REQ%", "%REQ()%", "%DURATION(x)%", "%DURATION:3%", "%REQ(a?b?c)%", "%REQ(a):-1%", "%", "100%",
		"%START_TIME(%n)%", "%START_TIME(%)%", "%COMMON_DURATION(DS_RX_BEG:DS_TX_END:s)%", "%COMMON_DURATION(A:B:ms)%", "%FILTER_STATE(a:Q)%", "%FILTER_STATE(a:FIELD)%", "%PATH(ORIG)%", "%QUERY_PARAMS(RAW)%", "%GRPC_STATUS(X)%", "%PROTOCOL() %"} {
		if _, err := Text(bad, false); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

// What is bare holds everything, and tells whether it must not be shown.
func TestBare(t *testing.T) {
	for _, tt := range []struct {
		format, want string
		secret       bool
	}{
		{"a %REQ(x-none)%.", "a .", false}, {"%REQ(user-agent)%", "cur\"l\n", false}, {"%REQ(authorization)%", "Bearer SECRET", true}, {"%REQ(x-token)%", "SECRET", true},
		{"%PATH%", "/a?access_token=SECRET&%74ok=SECRET&b=c%20d", true}, {"%QUERY_PARAM(tok)%", "SECRET", true}, {"%REQ(:method)%", "GET", false}, {"%LOCAL_REPLY_BODY%", "body", false},
	} {
		f, err := Text(tt.format, true)
		if err != nil {
			t.Fatal(err)
		}
		s := &Subject{X: request(), Bare: true, Body: "body"}
		if got := string(f.Append(nil, s)); got != tt.want || s.Secret != tt.secret {
			t.Errorf("%s: %q %v", tt.format, got, s.Secret)
		}
	}
}

func TestFlagsAndGRPC(t *testing.T) {
	for _, tt := range []struct{ flags, grpc, format, want string }{
		{"", "", "%RESPONSE_FLAGS% %RESPONSE_FLAGS_LONG%", "- -"},
		{"UF,URX", "", "%RESPONSE_FLAGS% %RESPONSE_FLAGS_LONG%", "UF,URX UpstreamConnectionFailure,UpstreamRetryLimitExceeded"},
		{"", "5", "%GRPC_STATUS% %GRPC_STATUS(SNAKE_STRING)% %GRPC_STATUS(NUMBER)% %GRPC_STATUS_NUMBER%", "NotFound NOT_FOUND 5 5"},
		{"", "99", "%GRPC_STATUS% %GRPC_STATUS_NUMBER%", "99 99"}, {"", "", "%GRPC_STATUS% %GRPC_STATUS_NUMBER%", "- -"}, {"", "x", "%GRPC_STATUS%", "-1"},
	} {
		f, err := Text(tt.format, false)
		if err != nil {
			t.Fatal(err)
		}
		x := request()
		x.Flags = tt.flags
		if tt.grpc != "" {
			x.Request.Header.Add("content-type", "application/grpc")
			x.Response.Trailer.Add("grpc-status", tt.grpc)
		}
		if got := string(f.Append(nil, &Subject{X: x})); got != tt.want {
			t.Errorf("%s of %q and %q: %s, want %s", tt.format, tt.flags, tt.grpc, got, tt.want)
		}
	}
}

func TestPeer(t *testing.T) {
	x := request()
	x.Conn.Peer = &x509.Certificate{Raw: []byte("x"), SerialNumber: big.NewInt(0x1f), DNSNames: []string{"a", "b"}, NotAfter: time.Date(2027, 1, 2, 3, 4, 5, 0, time.UTC)}
	f, err := Text("%DOWNSTREAM_PEER_SERIAL% %DOWNSTREAM_PEER_DNS_SAN% %DOWNSTREAM_PEER_CERT_V_END% %DOWNSTREAM_PEER_CERT_V_END(%Y)% %DOWNSTREAM_PEER_FINGERPRINT_1% %DOWNSTREAM_PEER_IP_SAN%", false)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(f.Append(nil, &Subject{X: x})), "1f a,b 2027-01-02T03:04:05.000Z 2027 11f6ad8ec52a2984abaafd7c3b516503785c2072 -"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// In JSON what a filter left is JSON, numbers are numbers, and flags are never missing.
func TestJSON(t *testing.T) {
	m, err := structpb.NewStruct(map[string]any{"all": "%DYNAMIC_METADATA(jwt)%", "one": "%DYNAMIC_METADATA(jwt:payload:sub)%", "mixed": "x%DYNAMIC_METADATA(jwt:payload:l)%", "flags": "%RESPONSE_FLAGS%",
		"none": "%DYNAMIC_METADATA(x)%", "code": "%RESPONSE_CODE%", "fixed": 1.5, "yes": true, "text": "a", "half": "%REQ(x)%|%DURATION%", "deep": map[string]any{"list": []any{"%DURATION%", "%REQ(x)%", map[string]any{"n": "%REQ(x)%"}, 7}, "n": "%REQ(x)%"}})
	if err != nil {
		t.Fatal(err)
	}
	for omit, want := range map[bool]string{
		false: `{"all":{"payload":{"l":["<",null,true],"n":1.50,"sub":"a\nb"}},"code":200,"deep":{"list":[12,null,{"n":null},7],"n":null},"fixed":1.5,"flags":"-","half":"-|12","mixed":"x[\"<\",null,true]","none":null,"one":"a\u000ab","text":"a","yes":true}` + "\n",
		true:  `{"all":{"payload":{"l":["<",null,true],"n":1.50,"sub":"a\nb"}},"code":200,"deep":{"list":[12,7]},"fixed":1.5,"flags":"-","half":"|12","mixed":"x[\"<\",null,true]","one":"a\u000ab","text":"a","yes":true}` + "\n",
	} {
		f, err := JSON(m, omit)
		if err != nil {
			t.Fatal(err)
		}
		if got := string(f.AppendLine(nil, &Subject{X: request()})); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

func FuzzText(f *testing.F) {
	f.Add(line, "a\"b\n")
	f.Add("%START_TIME(%s.%3f)%%QUERY_PARAM(b):3%%COMMON_DURATION(DS_RX_BEG:DS_TX_END:us)%", "")
	f.Fuzz(func(t *testing.T, format, agent string) {
		c, err := Text(format, false)
		if err != nil {
			return
		}
		x := request()
		x.Request.Header.Set("user-agent", agent)
		out := string(c.AppendLine(nil, &Subject{X: x}))
		if strings.Contains(out, "SECRET") && !strings.Contains(format, "SECRET") && !strings.Contains(agent, "SECRET") {
			t.Fatalf("a secret is shown: %s", out)
		}
		if strings.Count(out, "\n") > strings.Count(format, "\n") {
			t.Fatalf("a forged line: %q", out)
		}
	})
}

func BenchmarkDefault(b *testing.B) {
	f, err := Text(line, false)
	if err != nil {
		b.Fatal(err)
	}
	s := &Subject{X: request()}
	buf := make([]byte, 0, 4096)
	b.ReportAllocs()
	for b.Loop() {
		buf = f.AppendLine(buf[:0], s)
	}
}
