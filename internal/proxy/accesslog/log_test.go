package accesslog

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/file/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/usher-mesh/usher/internal/jsondoc"
	"github.com/usher-mesh/usher/internal/proxy/exchange"
)

func entry() *Entry {
	x := &exchange.Exchange{Conn: &exchange.Conn{Remote: netip.MustParseAddrPort("127.0.0.1:1234"), Local: netip.MustParseAddrPort("127.0.0.2:80"), PeerURI: "spiffe://a/b"}}
	x.Start = time.Date(2026, 11, 24, 4, 5, 6, 789e6, time.UTC)
	x.Request.Method, x.Request.Authority, x.Request.Scheme = "GET", "preference:8080", "http"
	x.Request.Path = "/a?access_token=SECRET&%74ok=SECRET&b=c"
	x.Request.ProtoMajor, x.Request.ProtoMinor = 1, 1
	x.Request.Header.Add("user-agent", "cur\"l\n")
	x.Request.Header.Add("authorization", "Bearer SECRET")
	x.Request.Header.Add("x-token", "SECRET")
	x.Request.Header.Add("cookie", "a=SECRET")
	x.Request.Header.Add("referer", "http://x/?tok=SECRET")
	x.Redact([]exchange.Secret{{Kind: exchange.SecretHeader, Name: "X-Token"}, {Kind: exchange.SecretParam, Name: "tok"}})
	x.Response.Status, x.Details, x.Flags, x.Cluster, x.UpstreamHost = 200, "via_upstream", "", "c", "127.0.0.3:81"
	x.Response.Header.Add("x-envoy-upstream-service-time", "3")
	x.SetMetadata("jwt", "payload", jsondoc.Of(map[string]any{"sub": "a\nb", "n": json.Number("1.50"), "l": []any{"<", nil, true}}))
	x.SetFilterState("tenant", "blue")
	return &Entry{X: x, End: x.Start.Add(12 * time.Millisecond), Received: 5, Sent: 7, Upstream: 3 * time.Millisecond, RequestID: "id"}
}

func TestFormats(t *testing.T) {
	for _, tt := range []struct{ format, want string }{
		{DefaultFormat, `[2026-11-24T04:05:06.789Z] "GET /a?access_token=[redacted]&%74ok=[redacted]&b=c HTTP/1.1" 200 - 5 7 12 3 "-" "cur\"l\x0a" "id" "preference:8080" "127.0.0.3:81"` + "\n"},
		{"%REQ(AUTHORIZATION)% %REQ(X-TOKEN)% %REQ(COOKIE)% %REQ(REFERER)% %REQ(X-NONE)%", "[redacted] [redacted] [redacted] http://x/?tok=[redacted] -"},
		{"%REQ(:AUTHORITY):4% %DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT% %DOWNSTREAM_LOCAL_PORT% %DOWNSTREAM_PEER_URI_SAN%%%", "pref 127.0.0.1 80 spiffe://a/b%"},
		{"%RESPONSE_CODE_DETAILS% %UPSTREAM_CLUSTER% %START_TIME(%Y/%m/%dT%H:%M:%S%z %s)%", "via_upstream c 2026/11/24T04:05:06+0000"},
		{"%DYNAMIC_METADATA(jwt:payload:sub)% %DYNAMIC_METADATA(jwt:payload:n)% %DYNAMIC_METADATA(jwt:payload:none)% %DYNAMIC_METADATA(none)% %FILTER_STATE(tenant:PLAIN)% %FILTER_STATE(none:PLAIN)%", "a\\x0ab 1.50 - - blue -"},
	} {
		r, err := compileText(tt.format)
		if err != nil {
			t.Fatal(err)
		}
		if got := string(r(nil, entry())); got != tt.want {
			t.Errorf("%s\ngot  %s\nwant %s", tt.format, got, tt.want)
		}
	}
	for _, bad := range []string{"%NOPE%", "%REQ(A", "%REQ(A):x%", "%START_TIME"} {
		if _, err := compileText(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

// In JSON what a filter left is JSON, and flags are never missing.
func TestJSON(t *testing.T) {
	s, err := structpb.NewStruct(map[string]any{"all": "%DYNAMIC_METADATA(jwt)%", "one": "%DYNAMIC_METADATA(jwt:payload:sub)%", "mixed": "x%DYNAMIC_METADATA(jwt:payload:l)%", "flags": "%RESPONSE_FLAGS%", "none": "%DYNAMIC_METADATA(x)%"})
	if err != nil {
		t.Fatal(err)
	}
	r, err := compileJSON(s)
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"all":{"payload":{"l":["<",null,true],"n":1.50,"sub":"a\nb"}},"flags":"-","mixed":"x[\"<\",null,true]","none":null,"one":"a\u000ab"}` + "\n"
	if got := string(r(nil, entry())); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	m := new(accesslogv3.AccessLog)
	if err := protojson.Unmarshal([]byte(`{"name":"f","typedConfig":{"@type":"type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog","path":"`+path+
		`","logFormat":{"jsonFormat":{"code":"%RESPONSE_CODE%","agent":"%REQ(USER-AGENT)%","none":"%REQ(X)%","both":"%PROTOCOL% %DURATION%"}}}}`), m); err != nil {
		t.Fatal(err)
	}
	files := new(Files)
	l, err := Compile(m, files)
	if err != nil {
		t.Fatal(err)
	}
	l.Log(entry())
	if err := files.Close(); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(path)
	if want := `{"agent":"cur\"l\u000a","both":"HTTP/1.1 12","code":200,"none":null}` + "\n"; err != nil || string(got) != want {
		t.Errorf("%s %v, want %s", got, err, want)
	}
	if fi, _ := os.Stat(path); fi.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", fi.Mode())
	}
}

// TestFlush waits for the line to come out by itself.
func TestFlush(t *testing.T) {
	out := make(writes, 1)
	s := &sink{w: out}
	r, err := compileText("line %RESPONSE_CODE%\n")
	if err != nil {
		t.Fatal(err)
	}
	s.write(r, entry())
	select {
	case b := <-out:
		if string(b) != "line 200\n" {
			t.Errorf("%q", b)
		}
	case <-time.After(5 * time.Second):
		t.Error("nothing is written")
	}
}

type writes chan []byte

func (w writes) Write(b []byte) (int, error) { w <- bytes.Clone(b); return len(b), nil }

func FuzzFormat(f *testing.F) {
	f.Add(DefaultFormat, "a\"b\n")
	f.Fuzz(func(t *testing.T, format, agent string) {
		r, err := compileText(format)
		if err != nil {
			return
		}
		e := entry()
		e.X.Request.Header.Set("user-agent", agent)
		out := string(r(nil, e))
		if strings.Contains(out, "SECRET") && !strings.Contains(format, "SECRET") && !strings.Contains(agent, "SECRET") {
			t.Fatalf("a secret is shown: %s", out)
		}
		if strings.Count(out, "\n") > strings.Count(format, "\n") {
			t.Fatalf("a forged line: %q", out)
		}
	})
}

func BenchmarkDefault(b *testing.B) {
	r, err := compileText(DefaultFormat)
	if err != nil {
		b.Fatal(err)
	}
	e := entry()
	buf := make([]byte, 0, 4096)
	b.ReportAllocs()
	for b.Loop() {
		buf = r(buf[:0], e)
	}
}
