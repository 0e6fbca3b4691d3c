package app

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/usher-mesh/usher/internal/proxy/bootstrap"
)

// leakConfig has every kind of place that a token is read from, routes that repeat
// the request's path, and logs that show all that there is to show.
const leakConfig = `{
 "node": {"id": "leak", "cluster": "leak"},
 "layered_runtime": {"layers": [{"name": "@LAYER@", "static_layer": {"usher": {"admin_socket": "@SOCKET@"}}}]},
 "static_resources": {
  "clusters": [
   {"name": "up", "type": "STATIC", "connect_timeout": "1s", "load_assignment": {"cluster_name": "up", "endpoints": [{"lb_endpoints": [{"endpoint": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": @UPSTREAM@}}}}]}]}},
   {"name": "nobody", "type": "STATIC", "connect_timeout": "1s", "load_assignment": {"cluster_name": "nobody", "endpoints": []}}],
  "listeners": [{"name": "l", "address": {"socket_address": {"address": "127.0.0.1", "port_value": @PORT@}}, "filter_chains": [{"filters": [{"name": "hcm", "typed_config": {
   "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager", "stat_prefix": "leak",
   "access_log": [
    {"name": "default", "typed_config": {"@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog", "path": "@LOG@"}},
    {"name": "all", "typed_config": {"@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog", "path": "@LOG@", "log_format": {"json_format": {
     "auth": "%REQ(authorization)%", "token": "%REQ(x-token)%", "cookie": "%REQ(cookie)%", "path": "%REQ(:PATH)%", "was": "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%", "referer": "%REQ(referer)%",
     "location": "%RESP(location)%", "challenge": "%RESP(www-authenticate)%", "details": "%RESPONSE_CODE_DETAILS%", "failure": "%UPSTREAM_TRANSPORT_FAILURE_REASON%",
     "metadata": "%DYNAMIC_METADATA(envoy.filters.http.jwt_authn)%", "state": "%FILTER_STATE(seen:PLAIN)%"}}}}],
   "http_filters": [
    {"name": "state", "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.set_filter_state.v3.Config", "on_request_headers": [
     {"object_key": "seen", "factory_key": "envoy.string", "format_string": {"text_format": "%REQ(:PATH)% %REQ(authorization)% %REQ(x-token)%"}}]}},
    {"name": "jwt", "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication",
     "providers": {"p": {"local_jwks": {"inline_string": "{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"@KEY@\"}]}"}, "forward": true, "jwt_cache_config": {}, "payload_in_metadata": "payload", "header_in_metadata": "header",
      "from_headers": [{"name": "Authorization", "value_prefix": "Bearer "}, {"name": "X-Token"}, {"name": "x-tagged", "value_prefix": "t="}], "from_params": ["access_token", "jwt", "a b", "t+k", "p%q"], "from_cookies": ["session"]}},
     "rules": [{"match": {"prefix": "/"}, "requires": {"provider_name": "p"}}]}},
    {"name": "router", "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}}],
   "route_config": {"validate_clusters": false, "virtual_hosts": [{"name": "v", "domains": ["*"], "routes": [
    {"match": {"prefix": "/rewrite"}, "route": {"cluster": "up", "prefix_rewrite": "/elsewhere"}},
    {"match": {"prefix": "/redirect"}, "redirect": {"path_redirect": "/there", "strip_query": true}},
    {"match": {"prefix": "/direct"}, "direct_response": {"status": 200, "body": {"inline_string": "hello"}}},
    {"match": {"prefix": "/nobody"}, "route": {"cluster": "nobody"}},
    {"match": {"prefix": "/none"}, "route": {"cluster": "there is none"}},
    {"match": {"prefix": "/up"}, "route": {"cluster": "up"}}]}]}
  }}]}]}]}}`

// leakTest is a proxy in this process with all that it shows.
type leakTest struct {
	t       *testing.T
	port    int
	socket  string
	logFile string
	log     lockedBuffer
	answers bytes.Buffer
	rewrite string // x-envoy-original-path as the upstream got it
	tokens  []string
	sign    ed25519.PrivateKey
}

// lockedBuffer is a writer for several goroutines.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}
func (l *lockedBuffer) String() string { l.mu.Lock(); defer l.mu.Unlock(); return l.b.String() }

// token gives one that nobody presented before.
func (l *leakTest) token(good bool) string {
	e := base64.RawURLEncoding.EncodeToString
	claims := fmt.Sprintf(`{"iss":"i","jti":"%d"}`, len(l.tokens))
	if !good {
		claims = fmt.Sprintf(`{"iss":"i","exp":1,"jti":"%d"}`, len(l.tokens))
	}
	input := e([]byte(`{"alg":"EdDSA"}`)) + "." + e([]byte(claims))
	tok := input + "." + e(ed25519.Sign(l.sign, []byte(input)))
	l.tokens = append(l.tokens, tok)
	return tok
}

// encoded is the token with every byte percent-encoded.
func encoded(tok string) string {
	var b strings.Builder
	for i := range len(tok) {
		fmt.Fprintf(&b, "%%%02x", tok[i])
	}
	return b.String()
}

func newLeakTest(t *testing.T) *leakTest {
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	l := &leakTest{t: t, sign: private, socket: filepath.Join(dir, "s"), logFile: filepath.Join(dir, "access.log")}
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p := r.Header.Get("X-Envoy-Original-Path"); p != "" {
			l.rewrite += p + "\n"
		}
		fmt.Fprint(w, "upstream")
	}))
	t.Cleanup(up.Close)
	at, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.port = at.Addr().(*net.TCPAddr).Port
	at.Close()
	text := strings.NewReplacer("@LAYER@", "usher", "@SOCKET@", l.socket, "@UPSTREAM@", fmt.Sprint(up.Listener.Addr().(*net.TCPAddr).Port), "@PORT@", fmt.Sprint(l.port),
		"@LOG@", l.logFile, "@KEY@", base64.RawURLEncoding.EncodeToString(public)).Replace(leakConfig)
	b, err := bootstrap.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	const level = slog.LevelDebug
	ctx, stop := context.WithCancel(context.Background())
	done, ready := make(chan error, 1), make(chan struct{})
	var once sync.Once
	go func() {
		done <- Run(ctx, Options{
			Bootstrap: b, Level: level, Log: slog.New(slog.NewTextHandler(&l.log, &slog.HandlerOptions{Level: level})),
			Notify: func(n Notice) {
				if n.Ready {
					once.Do(func() { close(ready) })
				}
			},
		})
	}()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
		l.search("after the end", l.read())
	})
	select {
	case <-ready:
	case <-time.After(10 * time.Second):
		t.Fatal("not ready")
	}
	return l
}

func (l *leakTest) read() string {
	b, err := os.ReadFile(l.logFile)
	if err != nil {
		l.t.Fatal(err)
	}
	return string(b) + l.log.String()
}

// send writes a request as it stands and keeps the answer.
func (l *leakTest) send(head string) {
	l.t.Helper()
	c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", l.port))
	if err != nil {
		l.t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(c, head); err != nil {
		l.t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		l.t.Fatalf("%q: %v", head[:20], err)
	}
	defer resp.Body.Close()
	if err := resp.Write(&l.answers); err != nil {
		l.t.Fatal(err)
	}
}

// piece is how long a part of a signature counts as shown, in bytes.
const piece = 16

// search looks for any piece of any signature, as it is and percent-encoded.
func (l *leakTest) search(where, text string) {
	l.t.Helper()
	pieces := map[string]bool{}
	for _, tok := range l.tokens {
		sig := tok[strings.LastIndexByte(tok, '.')+1:]
		for i := 0; i+piece <= len(sig); i++ {
			pieces[sig[i:i+piece]] = true
			pieces[encoded(sig[i:i+piece])] = true
		}
	}
	for i := range len(text) {
		for _, n := range []int{piece, 3 * piece} {
			if i+n <= len(text) && pieces[text[i:i+n]] {
				l.t.Errorf("%s holds a piece of a signature: %q", where, text[max(0, i-200):i+n])
				return
			}
		}
	}
}

// After tokens, good and bad, in every place and every spelling, no log, metric,
// dump or answer holds a piece of a signature.
func TestNoSignatureIsShown(t *testing.T) {
	l := newLeakTest(t)
	for _, path := range []string{"/up", "/rewrite/x", "/redirect", "/direct", "/nobody", "/none", "/404"} {
		for _, good := range []bool{true, false} {
			for _, place := range []string{
				"?access_token=T", "?a=1&jwt=T&b=2", "?j%77t=T", "?%6a%77%74=T", "?a%20b=T", "?a+b=T", "?t%2bk=T", "?t+k=T", "?p%25q=T", "?p%q=T", "?jwt=E", "?access%5Ftoken=E", "?t+k=E", "?t%2Bk=E", "?a%20b=E", "?p%q=E",
				"?jwt=T&jwt=T", "?jwt=x&access_token=T", "?jwt=T#T",
			} {
				p := strings.NewReplacer("T", l.token(good), "E", encoded(l.token(good))).Replace(place)
				l.send("GET " + path + p + " HTTP/1.1\r\nHost: h\r\nReferer: http://h/" + p + "\r\nConnection: close\r\n\r\n")
			}
			for _, h := range []string{"Authorization: Bearer T", "authorization: bearer T", "X-Token: T", "x-token:T", "x-tagged: t=T", "Cookie: session=T", "cookie: a=b; session=\"T\"; c=d", "X-Token: T\r\nX-Token: T",
				"Authorization: Basic T", "Proxy-Authorization: Bearer T", "Authorization: Bearer T\r\nAuthorization: Bearer T"} {
				l.send("GET " + path + " HTTP/1.1\r\nHost: h\r\n" + strings.ReplaceAll(h, "T", l.token(good)) + "\r\nConnection: close\r\n\r\n")
			}
		}
		// Heads that are refused before any filter sees them.
		for _, head := range []string{
			"GET PATH?jwt=T HTTP/1.1\r\nHost: h\r\nbad header\r\n\r\n", "GET PATH?jwt=T HTTP/1.1\r\n\r\n", "GET PATH?jwt=T HTTP/3.0\r\nHost: h\r\n\r\n", "GET PATH HTTP/1.1\r\nHost: h\r\nAuthorization : Bearer T\r\n\r\n",
			"GET PATH?access_token=T HTTP/1.1\r\nHost: h\r\nContent-Length: x\r\n\r\n", "POST PATH?jwt=T HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip\r\n\r\n", "GET PATH HTTP/1.1\r\nHost: h\r\nX-Token: T\r\n obsolete\r\n\r\n",
		} {
			l.send(strings.NewReplacer("PATH", path, "T ", l.token(true)+" ", "T\r", l.token(true)+"\r").Replace(head))
		}
	}
	l.search("an answer", l.answers.String())
	l.search("x-envoy-original-path", l.rewrite)
	if !strings.Contains(l.rewrite, "[redacted]") {
		t.Errorf("nothing was rewritten: %q", l.rewrite)
	}
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", l.socket)
		},
	}}
	for _, path := range []string{"/", "/help", "/stats", "/stats?format=json", "/stats/prometheus", "/config_dump", "/config_dump?include_eds", "/clusters", "/clusters?format=json", "/listeners", "/listeners?format=json",
		"/config", "/certs", "/memory", "/server_info", "/init_dump", "/ready", "/hot_restart_version"} {
		resp, err := client.Get("http://admin" + path)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != 200 {
			t.Fatalf("%s: %d %v", path, resp.StatusCode, err)
		}
		l.search(path, string(b))
		if strings.HasPrefix(path, "/config_dump") && !json.Valid(b) {
			t.Errorf("%s is no JSON", path)
		}
	}
	text := l.read()
	l.search("a log", text)
	if !strings.Contains(text, "request refused") || !strings.Contains(l.answers.String(), "Jwt is expired") {
		t.Errorf("nothing was refused")
	}
}
