package mirror

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"go.uber.org/goleak"

	"github.com/usher-mesh/usher/internal/jwks"
	"github.com/usher-mesh/usher/internal/mesh"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func keySet(t *testing.T, kids ...string) []byte {
	t.Helper()
	var s jose.JSONWebKeySet
	for _, kid := range kids {
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		s.Keys = append(s.Keys, jose.JSONWebKey{Key: k.Public(), KeyID: kid, Algorithm: "ES256"})
	}
	b, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// issuer is a server of keys that a test changes.
type issuer struct {
	*httptest.Server
	body  atomic.Pointer[[]byte]
	asked atomic.Int32
}

func newIssuer(t *testing.T, tls bool, body []byte) *issuer {
	t.Helper()
	i := &issuer{}
	i.body.Store(&body)
	h := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		i.asked.Add(1)
		_, _ = w.Write(*i.body.Load())
	})
	if tls {
		i.Server = httptest.NewTLSServer(h)
	} else {
		i.Server = httptest.NewServer(h)
	}
	t.Cleanup(i.Close)
	return i
}

func (i *issuer) addr() netip.AddrPort {
	return netip.MustParseAddrPort(i.Listener.Addr().String())
}

// start runs a mirror of this machine until the test's end.
func start(t *testing.T, o Options) *Mirror {
	t.Helper()
	m, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := m.Run(ctx); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(func() { cancel(); wg.Wait() })
	return m
}

func ask(t *testing.T, m *Mirror, path string, header ...string) (*http.Response, string) {
	t.Helper()
	rq := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "https://usher-jwks-mirror"+path, nil)
	for n := 0; n+1 < len(header); n += 2 {
		rq.Header.Set(header[n], header[n+1])
	}
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, rq)
	b, err := io.ReadAll(w.Result().Body)
	if err != nil {
		t.Fatal(err)
	}
	return w.Result(), strings.TrimSpace(string(b))
}

var machine = Policy{Loopback: true}

func TestMirror(t *testing.T) {
	i := newIssuer(t, false, keySet(t, "a"))
	dir := t.TempDir()
	var at atomic.Pointer[time.Time]
	now := time.Now()
	at.Store(&now)
	m := start(t, Options{Dir: dir, Allow: machine, Now: func() time.Time { return *at.Load() }})
	if rsp, text := ask(t, m, Path(i.URL)); rsp.StatusCode != 404 || text != "no object names this key set" {
		t.Fatalf("unknown: %s %q", rsp.Status, text)
	}
	m.Set([]mesh.KeySet{{URI: i.URL}}, nil)
	rsp, text := ask(t, m, Path(i.URL))
	if rsp.StatusCode != 200 || !strings.Contains(text, `"kid":"a"`) {
		t.Fatalf("%s %q", rsp.Status, text)
	}
	if age := rsp.Header.Get(jwks.AgeHeader); age != "0" {
		t.Errorf("age %q", age)
	}
	tag := rsp.Header.Get("Etag")
	later := now.Add(90*time.Second + time.Millisecond)
	at.Store(&later)
	rsp, _ = ask(t, m, Path(i.URL), "If-None-Match", tag)
	if rsp.StatusCode != 304 || rsp.Header.Get(jwks.AgeHeader) != "91" {
		t.Errorf("%s, age %q", rsp.Status, rsp.Header.Get(jwks.AgeHeader))
	}
	// A kid that we lack is asked for; one that is not there, once.
	both := keySet(t, "a", "b")
	i.body.Store(&both)
	rsp, text = ask(t, m, Path(i.URL)+"?kid=b")
	if rsp.StatusCode != 200 || !strings.Contains(text, `"kid":"b"`) || rsp.Header.Get("Etag") == tag {
		t.Errorf("%s %q", rsp.Status, text)
	}
	for range 50 {
		if rsp, _ := ask(t, m, Path(i.URL)+"?kid=nobody"); rsp.StatusCode != 200 {
			t.Fatal(rsp.Status)
		}
	}
	if n := i.asked.Load(); n != 3 {
		t.Errorf("the issuer was asked %d times", n)
	}
	for path, want := range map[string]int{
		"/": 404, "/jwks/": 404, "/jwks/!!": 404, Path("http://other"): 404, Path(i.URL) + "=": 404,
		Path(i.URL) + "?kid=" + strings.Repeat("x", 1025): 400,
	} {
		if rsp, _ := ask(t, m, path); rsp.StatusCode != want {
			t.Errorf("%s: %s, want %d", path, rsp.Status, want)
		}
	}
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, Path(i.URL), nil))
	if w.Code != 405 {
		t.Errorf("POST: %d", w.Code)
	}
	if st := m.States(); len(st) != 1 || st[0].URI != i.URL || st[0].Keys != 2 || st[0].LastError != "" {
		t.Errorf("states %+v", st)
	}
	m.Set(nil, nil)
	if rsp, _ := ask(t, m, Path(i.URL)); rsp.StatusCode != 404 {
		t.Errorf("after Set(nil): %s", rsp.Status)
	}
}

func TestNoKeys(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	uri := "http://" + l.Addr().String() + "/"
	_ = l.Close()
	m := start(t, Options{Allow: machine})
	m.Set([]mesh.KeySet{{URI: uri}}, nil)
	rsp, text := ask(t, m, Path(uri))
	if rsp.StatusCode != 503 || !strings.HasPrefix(text, "no keys to be had: "+uri+": ") || !strings.HasSuffix(text, "connection refused") {
		t.Fatalf("%s %q", rsp.Status, text)
	}
}

func TestKeysSurviveARestart(t *testing.T) {
	i := newIssuer(t, false, keySet(t, "a"))
	dir := t.TempDir()
	sets := []mesh.KeySet{{URI: i.URL}}
	m, err := New(Options{Dir: dir, Allow: machine})
	if err != nil {
		t.Fatal(err)
	}
	m.Set(sets, nil)
	if rsp, _ := ask(t, m, Path(i.URL)); rsp.StatusCode != 200 {
		t.Fatal(rsp.Status)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := m.Run(ctx); err != nil {
		t.Fatal(err)
	}
	i.Close()
	again := start(t, Options{Dir: dir, Allow: machine})
	again.Set(sets, nil)
	if rsp, text := ask(t, again, Path(i.URL)); rsp.StatusCode != 200 || !strings.Contains(text, `"kid":"a"`) {
		t.Fatalf("%s %q", rsp.Status, text)
	}
}

func TestMeshService(t *testing.T) {
	i := newIssuer(t, false, keySet(t, "a"))
	const host = "http://issuer.istio-system.svc.cluster.local"
	uri := host + "/i/x/jwks"
	m := start(t, Options{Allow: machine})
	m.Set([]mesh.KeySet{{URI: uri, MeshService: true, MeshEndpoints: []netip.AddrPort{i.addr()}}}, nil)
	if rsp, text := ask(t, m, Path(uri)); rsp.StatusCode != 200 {
		t.Fatalf("%s %q", rsp.Status, text)
	}
	empty := "https://Nobody.tutorial.:8443/jwks"
	m.Set([]mesh.KeySet{{URI: empty, MeshService: true}}, nil)
	if rsp, text := ask(t, m, Path(empty)); rsp.StatusCode != 503 || !strings.HasSuffix(text, "the mesh service has no endpoints") {
		t.Fatalf("%s %q", rsp.Status, text)
	}
	var asked atomic.Pointer[string]
	m2 := start(t, Options{Allow: machine, Resolve: func(hp string) ([]netip.AddrPort, bool) {
		asked.Store(&hp)
		return []netip.AddrPort{i.addr()}, true
	}})
	m2.Set([]mesh.KeySet{{URI: uri}}, nil)
	if rsp, text := ask(t, m2, Path(uri)); rsp.StatusCode != 200 || *asked.Load() != "issuer.istio-system.svc.cluster.local:80" {
		t.Fatalf("%s %q, asked for %q", rsp.Status, text, *asked.Load())
	}
}

// What must not be asked is refused at the socket, whatever name leads there.
func TestForbiddenAddresses(t *testing.T) {
	own := newIssuer(t, false, keySet(t, "own"))
	dev := newIssuer(t, false, keySet(t, "dev"))
	redirect := httptest.NewServer(http.RedirectHandler(own.URL, http.StatusFound))
	defer redirect.Close()
	allow := Policy{Loopback: true, Issuer: dev.addr(), UsherPorts: func() []netip.AddrPort { return []netip.AddrPort{own.addr(), dev.addr()} }}
	port := own.addr().Port()
	byName := func(host string) string {
		u := url.URL{Scheme: "http", Host: netip.AddrPortFrom(netip.IPv4Unspecified(), port).String()}
		u.Host = host + ":" + u.Port()
		return u.String()
	}
	m := start(t, Options{Allow: allow, Resolve: func(hp string) ([]netip.AddrPort, bool) {
		return []netip.AddrPort{own.addr()}, strings.HasPrefix(hp, "rebound.")
	}})
	for uri, want := range map[string]string{
		own.URL:                         "is a port of usher's own",
		byName("localhost"):             "is a port of usher's own",
		byName("[::ffff:127.0.0.1]"):    "is a port of usher's own",
		byName("0.0.0.0"):               "is no address to ask",
		byName("rebound.tutorial.svc"):  "is a port of usher's own",
		redirect.URL:                    "is a port of usher's own",
		"http://169.254.169.254/latest": "is link-local, which is never asked for keys",
		"http://[fd00:ec2::254]/":       "is link-local, which is never asked for keys",
		dev.URL:                         "",
	} {
		m.Set([]mesh.KeySet{{URI: uri}}, nil)
		rsp, text := ask(t, m, Path(uri))
		if want == "" {
			if rsp.StatusCode != 200 {
				t.Errorf("%s: %s %q", uri, rsp.Status, text)
			}
			continue
		}
		// localhost may be ::1 too, where nobody listens.
		if rsp.StatusCode != 503 || !strings.HasSuffix(text, want) && uri != byName("localhost") {
			t.Errorf("%s: %s %q, want %q", uri, rsp.Status, text, want)
		}
	}
	if n := own.asked.Load(); n != 0 {
		t.Errorf("the forbidden server was asked %d times", n)
	}
}

func TestPolicy(t *testing.T) {
	ports := func(s ...string) func() []netip.AddrPort {
		return func() (out []netip.AddrPort) {
			for _, p := range s {
				out = append(out, netip.MustParseAddrPort(p))
			}
			return out
		}
	}
	for _, tt := range []struct {
		to   string
		p    Policy
		want string
	}{
		{"93.184.216.34:443", Policy{}, ""},
		{"10.0.0.1:443", Policy{}, ""},
		{"127.0.0.1:443", Policy{}, "127.0.0.1:443 is loopback, which the mesh does not allow"},
		{"[::1]:443", Policy{}, "[::1]:443 is loopback, which the mesh does not allow"},
		{"127.0.0.1:443", machine, ""},
		{"[::ffff:169.254.169.254]:80", machine, "169.254.169.254:80 is link-local, which is never asked for keys"},
		{"[fe80::1%eth0]:80", machine, "[fe80::1]:80 is link-local, which is never asked for keys"},
		{"[64:ff9b::a9fe:a9fe]:80", machine, "169.254.169.254:80 is link-local, which is never asked for keys"},
		{"100.100.100.200:80", machine, "100.100.100.200:80 is link-local, which is never asked for keys"},
		{"0.0.0.0:80", machine, "0.0.0.0:80 is no address to ask"},
		{"[::]:80", machine, "[::]:80 is no address to ask"},
		{"224.0.0.1:80", machine, "224.0.0.1:80 is multicast"},
		{"127.0.0.1:6443", Policy{Loopback: true, UsherPorts: ports("127.0.0.1:6443")}, "127.0.0.1:6443 is a port of usher's own"},
		{"127.0.0.2:6443", Policy{Loopback: true, UsherPorts: ports("127.0.0.1:6443")}, ""},
		{"127.0.0.2:6443", Policy{Loopback: true, UsherPorts: ports("0.0.0.0:6443")}, "127.0.0.2:6443 is a port of usher's own"},
		{"93.184.216.34:6443", Policy{Loopback: true, UsherPorts: ports("0.0.0.0:6443")}, ""},
		{"127.0.0.1:99", Policy{UsherPorts: ports("127.0.0.1:99"), Issuer: netip.MustParseAddrPort("127.0.0.1:99")}, ""},
	} {
		got := ""
		if err := tt.p.Check(netip.MustParseAddrPort(tt.to)); err != nil {
			got = err.Error()
		}
		if got != tt.want {
			t.Errorf("%s: %q, want %q", tt.to, got, tt.want)
		}
	}
}

func TestRoots(t *testing.T) {
	i := newIssuer(t, true, keySet(t, "a"))
	set := []mesh.KeySet{{URI: i.URL}}
	i.Config.ErrorLog = nil
	m := start(t, Options{Allow: machine, Roots: x509.NewCertPool()})
	m.Set(set, nil)
	if rsp, text := ask(t, m, Path(i.URL)); rsp.StatusCode != 503 || !strings.HasSuffix(text, "x509: certificate signed by unknown authority") {
		t.Fatalf("%s %q", rsp.Status, text)
	}
	file := filepath.Join(t.TempDir(), "roots.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: i.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SSL_CERT_FILE", file)
	m2 := start(t, Options{Allow: machine})
	m2.Set(set, nil)
	if rsp, text := ask(t, m2, Path(i.URL)); rsp.StatusCode != 200 {
		t.Fatalf("%s %q", rsp.Status, text)
	}
	for content, want := range map[string]string{"": "holds no certificate", "x": "holds no certificate"} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := New(Options{}); err == nil || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

// The proxy's side: its cache asks the mirror over HTTP as the contracts say.
func TestWithTheProxysCache(t *testing.T) {
	i := newIssuer(t, false, keySet(t, "a"))
	m := start(t, Options{Allow: machine})
	m.Set([]mesh.KeySet{{URI: i.URL}}, nil)
	s := httptest.NewServer(m.Handler())
	defer s.Close()
	tr := &http.Transport{}
	defer tr.CloseIdleConnections()
	c := jwks.New(jwks.Options{Transport: tr, Mirror: true})
	defer c.Close()
	uri := s.URL + Path(i.URL)
	c.Add(jwks.Target{URI: uri})
	got, err := c.Get(t.Context(), uri, "a")
	if err != nil || !got.Keys.Has("a") {
		t.Fatalf("Get: %v", err)
	}
	c.Add(jwks.Target{URI: s.URL + Path("http://nobody")})
	if _, err := c.Get(t.Context(), s.URL+Path("http://nobody"), ""); err == nil || !strings.HasSuffix(err.Error(), ": no object names this key set") {
		t.Fatalf("Get: %v", err)
	}
}
