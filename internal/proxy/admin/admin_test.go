package admin

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	adminv3 "github.com/envoyproxy/go-control-plane/envoy/admin/v3"
	"google.golang.org/protobuf/proto"

	"github.com/usher-mesh/usher/internal/proxy/metrics"
	"github.com/usher-mesh/usher/internal/proxy/ownersocket"
)

// levelsOf is one logger.
type levelsOf map[string]slog.Level

func (l levelsOf) Names() []string                     { return []string{"admin", "main"} }
func (l levelsOf) Level(n string) slog.Level           { return l[n] }
func (l levelsOf) SetLevel(n string, level slog.Level) { l[n] = level }

func options() Options {
	return Options{
		Config: func() Status { return Status{} },
		Server: func() *adminv3.ServerInfo { return &adminv3.ServerInfo{} },
		Dump: func(bool) ([]proto.Message, error) {
			return []proto.Message{&adminv3.BootstrapConfigDump{}}, nil
		},
		Unready:   func() *adminv3.UnreadyTargetsDumps { return &adminv3.UnreadyTargetsDumps{} },
		Clusters:  func() *adminv3.Clusters { return &adminv3.Clusters{} },
		Listeners: func() *adminv3.Listeners { return &adminv3.Listeners{} },
		Certs:     func() *adminv3.Certificates { return &adminv3.Certificates{} },
		Metrics:   metrics.New(metrics.Self{}), Loggers: levelsOf{},
		Drain: func(_, _, _ bool) {}, Health: func(bool) {}, Quit: func() {}, Log: slog.New(slog.DiscardHandler),
	}
}

func listen(network, address string) (net.Listener, error) {
	if network == "unix" {
		return ownersocket.Listen(network, address)
	}
	return net.Listen(network, address)
}

func start(t *testing.T, o Options) (tcp, socket string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	tcp, socket = l.Addr().String(), filepath.Join(t.TempDir(), "a.sock")
	l.Close()
	s, err := Start([]string{tcp, socket}, listen, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return tcp, socket
}

// Pages of other sites and names that lead here reach nothing, whatever they ask.
func TestBrowsers(t *testing.T) {
	quit := 0
	o := options()
	o.Quit = func() { quit++ }
	tcp, socket := start(t, o)
	ask := func(network, address, method, host string, fields ...string) int {
		c := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, address)
		}}}
		r, err := http.NewRequest(method, "http://"+tcp+"/quitquitquit", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = host
		for _, f := range fields {
			if name, value, ok := strings.Cut(f, ": "); ok {
				r.Header.Set(name, value)
			}
		}
		rs, err := c.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		rs.Body.Close()
		return rs.StatusCode
	}
	_, port, _ := net.SplitHostPort(tcp)
	for _, c := range []struct {
		host, field string
		want        int
	}{
		{tcp, "", 200}, {"localhost:" + port, "", 200}, {"[::1]:" + port, "", 200}, {"127.9.9.9", "", 200},
		{"evil.example:" + port, "", 403}, {"127.0.0.1.evil.example:" + port, "", 403}, {"10.0.0.1:" + port, "", 403}, {"0.0.0.0:" + port, "", 403}, {"localhost.evil.example", "", 403},
		{tcp, "Origin: http://evil.example", 403}, {tcp, "Origin: null", 403}, {tcp, "Origin: https://" + tcp, 403}, {tcp, "Origin: http://127.0.0.1:1", 403}, {tcp, "Origin: http://" + tcp, 200},
		{tcp, "Sec-Fetch-Site: cross-site", 403}, {tcp, "Sec-Fetch-Site: same-site", 403}, {tcp, "Sec-Fetch-Site: same-origin", 200}, {tcp, "Sec-Fetch-Site: none", 200},
	} {
		before := quit
		if got := ask("tcp", tcp, "POST", c.host, c.field); got != c.want || (quit > before) != (c.want == 200) {
			t.Errorf("Host %q, %q: %d, want %d; done: %t", c.host, c.field, got, c.want, quit > before)
		}
	}
	if got := ask("unix", socket, "POST", "proxy"); got != 200 {
		t.Errorf("over the socket: %d", got)
	}
	if got := ask("unix", socket, "POST", "proxy", "Origin: http://evil.example"); got != 403 {
		t.Errorf("over the socket from another site: %d", got)
	}
	if got := ask("tcp", tcp, "GET", tcp); got != 405 {
		t.Errorf("GET: %d", got)
	}
}

// What is not allowed over TCP is there for the owner.
func TestAllow(t *testing.T) {
	o := options()
	o.Allow = func(p string) bool { return p == "/ready" }
	tcp, socket := start(t, o)
	fi, err := os.Stat(socket)
	if err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", fi.Mode(), err)
	}
	get := func(network, address, path string) int {
		c := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, address)
		}}}
		rs, err := c.Get("http://" + tcp + path)
		if err != nil {
			t.Fatal(err)
		}
		rs.Body.Close()
		return rs.StatusCode
	}
	for path, want := range map[string]int{"/ready": 200, "/ready?x": 403, "/x/../ready": 200, "/ready/../config_dump": 403, "/%72eady": 403, "/config_dump": 403, "/debug/pprof/": 403} {
		if got := get("tcp", tcp, path); got != want {
			t.Errorf("%s: %d", path, got)
		}
	}
	for _, path := range []string{"/config_dump", "/debug/pprof/", "/debug/pprof/goroutine?debug=1", "/stats"} {
		if got := get("unix", socket, path); got != 200 {
			t.Errorf("%s over the socket: %d", path, got)
		}
	}
	for _, path := range []string{"/debug/pprof/cmdline", "/debug/pprof/symbol", "/debug/pprof/nope"} {
		if got := get("unix", socket, path); got != 404 {
			t.Errorf("%s over the socket: %d", path, got)
		}
	}
	if got := get("unix", socket, "/debug/pprof/profile?seconds=301"); got != 400 {
		t.Errorf("a long profile: %d", got)
	}
}

// Connections and requests are bounded, and come free again.
func TestBounds(t *testing.T) {
	hold := make(chan struct{})
	o := options()
	entered := make(chan struct{}, maxRequests+1)
	o.Server = func() *adminv3.ServerInfo { entered <- struct{}{}; <-hold; return &adminv3.ServerInfo{} }
	tcp, _ := start(t, o)
	done := make(chan int, maxRequests)
	get := func(path string) int {
		rs, err := (&http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}).Get("http://" + tcp + path)
		if err != nil {
			return 0
		}
		defer rs.Body.Close()
		_, _ = io.Copy(io.Discard, rs.Body)
		return rs.StatusCode
	}
	for range maxRequests {
		go func() { done <- get("/ready") }()
	}
	for range maxRequests {
		<-entered
	}
	if got := get("/help"); got != 503 {
		t.Errorf("one more: %d", got)
	}
	close(hold)
	for range maxRequests {
		if got := <-done; got != 200 {
			t.Errorf("%d", got)
		}
	}
	if got := get("/help"); got != 200 {
		t.Errorf("afterwards: %d", got)
	}
	var all []net.Conn
	for range maxConnections {
		c, err := net.Dial("tcp", tcp)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, c)
	}
	if got := get("/help"); got != 0 {
		t.Errorf("a connection more: %d", got)
	}
	for _, c := range all {
		c.Close()
	}
	for deadline := time.Now().Add(10 * time.Second); get("/help") != 200; {
		if time.Now().After(deadline) {
			t.Fatal("connections that ended are still counted")
		}
	}
}

func TestOnlyLoopback(t *testing.T) {
	for _, a := range []string{"0.0.0.0:0", "[::]:0", "10.255.255.1:0"} {
		if s, err := Start([]string{a}, listen, options()); err == nil {
			s.Close()
			t.Errorf("%s is taken", a)
		}
	}
}

func TestLogging(t *testing.T) {
	l := levelsOf{}
	o := options()
	o.Loggers = l
	h := Handler(o)
	for _, c := range []struct {
		query, want string
		admin, main slog.Level
		status      int
	}{
		{"", "active loggers:\n  admin: info\n  main: info\n", 0, 0, 200},
		{"?level=debug", "  admin: debug\n  main: debug\n", -4, -4, 200},
		{"?admin=error", "  admin: error\n  main: debug\n", 8, -4, 200},
		{"?paths=admin:trace,main:warning", "  admin: trace\n  main: warning\n", -8, 4, 200},
		{"?paths=admin:off,nobody:info", "error: unknown logger name\n", -8, 4, 400}, // all or nothing
		{"?level=loud", "error: unknown logger level\n", -8, 4, 400},
		{"?level=info&admin=info", "error: invalid number of parameters\n", -8, 4, 400},
		{"?paths=:info", "error: empty logger name", -8, 4, 400},
		{"?main=critical", "  main: critical\n", -8, 12, 200},
		{"?main=off", "  main: off\n", -8, 1008, 200},
	} {
		r, err := http.NewRequest("POST", "/logging"+c.query, nil)
		if err != nil {
			t.Fatal(err)
		}
		w := &recorder{header: http.Header{}}
		h.ServeHTTP(w, r)
		if w.status != c.status || !strings.Contains(w.body.String(), c.want) || l["admin"] != c.admin || l["main"] != c.main {
			t.Errorf("%s: %d %v\n%s", c.query, w.status, l, w.body.String())
		}
	}
}

type recorder struct {
	header http.Header
	status int
	body   strings.Builder
}

func (r *recorder) Header() http.Header         { return r.header }
func (r *recorder) WriteHeader(s int)           { r.status = s }
func (r *recorder) Write(b []byte) (int, error) { return r.body.Write(b) }

// No query makes a handler fail, however long or odd.
func FuzzQuery(f *testing.F) {
	for _, q := range []string{"resource=static_clusters&mask=a.b", "mask=bootstrap.node.id,bootstrap", "name_regex=[", "filter=(a&type=Gauges", "histogram_buckets=detailed&format=json", "level=x", "format=prometheus&hidden=only"} {
		f.Add(q)
	}
	h := Handler(options())
	f.Fuzz(func(t *testing.T, q string) {
		for _, p := range []string{"/config_dump", "/stats", "/stats/prometheus", "/clusters", "/logging", "/init_dump"} {
			r, err := http.NewRequest("POST", p, nil)
			if err != nil {
				t.Fatal(err)
			}
			r.URL.RawQuery = q
			w := &recorder{header: http.Header{}}
			h.ServeHTTP(w, r)
			if w.status >= 500 {
				t.Fatal(fmt.Sprint(p, w.status, w.body.String()))
			}
		}
	})
}
