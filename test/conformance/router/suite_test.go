package router

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/usher-mesh/usher/test/conformance/beside"
	"github.com/usher-mesh/usher/test/harness"
)

// world is a listener, and what it is asked, in order.
type world struct {
	name    string
	manager string // YAML, more of the HttpConnectionManager, by default without ids
	router  string // YAML, more of the router
	host    string // YAML, more of the virtual host
	routes  string // YAML, a list of Route
	asks    []ask
}

// ask is a request. Its path's first parts say what the server does: see server.
type ask struct {
	method, path, body string // by default GET /
	header             []string
	slow               bool   // the content's second half comes when the answer's head would be late
	differs            string // why usher answers otherwise; "": it must not
}

const logFormat = `%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %UPSTREAM_REQUEST_ATTEMPT_COUNT% %UPSTREAM_CLUSTER% %ROUTE_NAME%`

func (w *world) listener(port int, log string) string {
	manager := w.manager
	if manager == "" {
		manager = "generate_request_id: false,"
	}
	return fmt.Sprintf(`
  - name: %[1]s
    address: {socket_address: {address: 127.0.0.1, port_value: %[2]d}}
    filter_chains: [{filters: [{name: hcm, typed_config: {
      "@type": %[3]sfilters.network.http_connection_manager.v3.HttpConnectionManager, stat_prefix: %[1]s, %[5]s
      route_config: {name: r, validate_clusters: false, virtual_hosts: [{name: all, domains: ["*"], %[7]s routes: %[8]s}]},
      http_filters: [{name: router, typed_config: {"@type": %[3]sfilters.http.router.v3.Router, %[6]s}}],
      access_log: [{name: log, typed_config: {"@type": %[3]saccess_loggers.file.v3.FileAccessLog, path: %[4]q, log_format: {text_format_source: {inline_string: "%[9]s\n"}}}}]}}]}]`,
		w.name, port, beside.Types, log, manager, w.router, w.host, w.routes, logFormat)
}

// server does what a request's path says, by its parts:
//
//	fail/N/STATUS   the first N tries of the request are answered so, with the fields of x-answer
//	reset/N         they are answered by the end of the connection
//	hang/N          they are not answered; half/N: not beyond the first bytes of the content
//
// Otherwise the answer is what was asked. Tries are those of one x-key.
type server struct {
	mu    sync.Mutex
	tries map[string]int
}

func (s *server) try(r *http.Request) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tries == nil {
		s.tries = map[string]int{}
	}
	k := r.Header.Get("X-Key")
	s.tries[k]++
	return s.tries[k]
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	part := strings.Split(r.URL.Path, "/")
	n, status := 0, 200
	if len(part) > 2 {
		n, _ = strconv.Atoi(part[2])
	}
	if len(part) > 3 {
		status, _ = strconv.Atoi(part[3])
	}
	try := s.try(r)
	w.Header()["Date"] = nil
	w.Header().Set("Content-Type", "text/plain")
	if try <= n {
		switch part[1] {
		case "fail":
			if name, value, ok := strings.Cut(r.Header.Get("X-Answer"), "="); ok {
				w.Header().Set(name, value)
			}
			w.WriteHeader(status)
			fmt.Fprintln(w, "failed")
			return
		case "reset":
			c, _, _ := w.(http.Hijacker).Hijack()
			c.Close()
			return
		case "half":
			fmt.Fprint(w, "half")
			w.(http.Flusher).Flush()
			<-r.Context().Done()
			return
		case "hang":
			<-r.Context().Done()
			return
		}
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	text := fmt.Sprintf("try %d: %s", try, beside.Told(r, "X-Forwarded-For")) // Envoy names another loopback address
	w.Header().Set("Content-Length", fmt.Sprint(len(text)))
	io.WriteString(w, text)
}

// left is what is left of a request's time when it is sent again.
var left = regexp.MustCompile(`got (Grpc-Timeout|X-Envoy-Expected-Rq-Timeout-Ms): \["([0-9]+)(m?)"\]`)

// refused is what Envoy says besides of why there is no connection.
var refused = regexp.MustCompile(`\|delayed_connect_error[^}]*}`)

// newID is an id that a proxy has made.
var newID = regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`)

// send gives what is answered, less what depends on the time.
func (a *ask) send(key string, port int) string {
	c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return err.Error()
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(20 * time.Second))
	method, path := "GET", "/"
	if a.method != "" {
		method = a.method
	}
	if a.path != "" {
		path = a.path
	}
	head := fmt.Sprintf("%s %s HTTP/1.1\r\nhost: a.test\r\nx-key: %s\r\n", method, path, key)
	for _, h := range a.header {
		head += h + "\r\n"
	}
	if a.body != "" {
		head += fmt.Sprintf("content-length: %d\r\n", len(a.body))
	}
	first, rest := a.body, ""
	if a.slow {
		first, rest = a.body[:len(a.body)/2], a.body[len(a.body)/2:]
	}
	fmt.Fprint(c, head+"\r\n"+first)
	if a.slow { // longer than any try may take
		time.AfterFunc(700*time.Millisecond, func() { io.WriteString(c, rest) })
	}
	rs, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: method})
	if err != nil {
		return "no answer"
	}
	defer rs.Body.Close()
	b, err := io.ReadAll(rs.Body)
	lines := beside.Fields(rs.Header, "Content-Length")
	text := left.ReplaceAllStringFunc(newID.ReplaceAllString(string(b), "new"), func(f string) string {
		m := left.FindStringSubmatch(f)
		n, _ := strconv.Atoi(m[2])
		if n > 1 && strings.HasPrefix(string(b), "try 1:") {
			return f
		}
		return fmt.Sprintf("got %s: about %ds", m[1], (n+999)/1000)
	})
	out := fmt.Sprintf("%d\n%s\n%s", rs.StatusCode, strings.Join(lines, "\n"), text)
	if err != nil {
		out += "cut off"
	}
	return out
}

// peer is a program as it was asked.
type peer struct {
	answers, logs map[string][]string
	counters      map[string]string
}

// run starts a program, asks it everything, and ends it.
func run(t *testing.T, worlds []*world, clusters string, program beside.Program) *peer {
	t.Helper()
	dir := t.TempDir()
	ports := harness.FreePorts(t, len(worlds)+1)
	admin := ports[len(worlds)]
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: new(server)}
	go s.Serve(ln)
	defer s.Close()
	text := fmt.Sprintf("node: {id: x, cluster: x}\nadmin: {address: {socket_address: {address: 127.0.0.1, port_value: %d}}}\nstatic_resources:\n  listeners:", admin)
	for i, w := range worlds {
		text += w.listener(ports[i], filepath.Join(dir, w.name+".log"))
	}
	at := ln.Addr().(*net.TCPAddr).Port
	text += "\n  clusters:\n" + strings.NewReplacer("PORT", fmt.Sprint(at), "UP", fmt.Sprintf(
		`type: STATIC, connect_timeout: 1s, load_assignment: {cluster_name: c, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: %d}}}}]}]}`, at)).Replace(clusters)
	file := filepath.Join(dir, "bootstrap.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	defer harness.Serve(t, ports, program.Path, append([]string{"-c", file}, program.Args...)...)()
	p := &peer{answers: map[string][]string{}, logs: map[string][]string{}, counters: map[string]string{}}
	for i, w := range worlds {
		p.answers[w.name] = make([]string, len(w.asks))
		for j := range w.asks {
			p.answers[w.name][j] = w.asks[j].send(fmt.Sprint(w.name, j), ports[i])
			// A request ends after its answer: the next line is its own.
			harness.Eventually(t, 30*time.Second, w.name+": access log", func() (bool, any) {
				b, err := os.ReadFile(filepath.Join(dir, w.name+".log"))
				p.logs[w.name] = strings.SplitAfter(refused.ReplaceAllString(string(b), "}"), "\n")
				return len(p.logs[w.name]) == j+2, fmt.Sprintf("%v %s", err, b)
			})
		}
	}
	_, page := beside.Page(t, admin, "/stats?type=Counters")
	for line := range strings.Lines(page) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ": "); ok {
			p.counters[name] = value
		}
	}
	return p
}

// compare runs both programs. Counters are names that both must have at one value.
func compare(t *testing.T, worlds []*world, clusters string, counters ...string) {
	both := beside.Programs(t)
	e, u := run(t, worlds, clusters, both[0]), run(t, worlds, clusters, both[1])
	n := 0
	for _, w := range worlds {
		for i := range w.asks {
			n++
			a := &w.asks[i]
			if es, us := e.answers[w.name][i]+"\n"+e.logs[w.name][i], u.answers[w.name][i]+"\n"+u.logs[w.name][i]; (es == us) != (a.differs == "") {
				t.Errorf("%s, request %d %s %v (%s):\nEnvoy:\n%s\nusher:\n%s", w.name, i, a.path, a.header, a.differs, es, us)
			}
		}
	}
	for _, name := range counters {
		if e.counters[name] != u.counters[name] || e.counters[name] == "" || e.counters[name] == "0" {
			t.Errorf("%s: Envoy %q, usher %q", name, e.counters[name], u.counters[name])
		}
	}
	t.Logf("%d answers, with their logs, and %d counters are compared", n, len(counters))
}
