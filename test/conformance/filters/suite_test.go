package filters

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/usher-mesh/usher/test/harness"
)

type (
	object = map[string]any
	list   = []any
)

const types = "type.googleapis.com/envoy.extensions."

// world is a listener with its filters, and what it is asked, in order.
type world struct {
	name     string
	filters  string // YAML, a list of HttpFilter in front of the router
	routes   string // YAML, a list of Route; "": all to the upstream
	host     string // YAML, more of the virtual host
	asks     []ask
	counters []string // names in Prometheus' text begin so
}

// ask is a request.
type ask struct {
	method, path string // by default GET /
	header       []string
	body         string
	differs      string // why usher answers otherwise; "": it must not
	loose        bool   // the answer depends on when it is asked
}

// upstream answers with what it got.
func upstream(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	var lines []string
	for k, v := range r.Header {
		if k != "X-Request-Id" && k != "X-Envoy-Upstream-Service-Time" { // which an authorization server's answer leaves there
			lines = append(lines, fmt.Sprintf("got %s: %q", k, v))
		}
	}
	slices.Sort(lines)
	w.Header()["Date"] = nil
	w.Header().Set("Content-Type", "text/plain")
	fmt.Fprintf(w, "%s %s %s %q\n%s\n", r.Method, r.Host, r.RequestURI, body, strings.Join(lines, "\n"))
}

func address(port int) object {
	return object{"socket_address": object{"address": "127.0.0.1", "port_value": port}}
}

func cluster(name string, port int, http2 bool) object {
	c := object{"name": name, "type": "STATIC", "connect_timeout": "1s", "load_assignment": object{"cluster_name": name,
		"endpoints": list{object{"lb_endpoints": list{object{"endpoint": object{"address": address(port)}}}}}}}
	if http2 {
		c["typed_extension_protocol_options"] = object{"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": object{
			"@type": types + "upstreams.http.v3.HttpProtocolOptions", "explicit_http_config": object{"http2_protocol_options": object{}}}}
	}
	return c
}

// read reads YAML.
func read(t *testing.T, text string, into any) {
	t.Helper()
	if err := yaml.Unmarshal([]byte(text), into); err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
}

const logFormat = "%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS%|%DYNAMIC_METADATA(m)%\n"

func (w *world) listener(t *testing.T, port int, log string) object {
	var filters, routes list
	read(t, w.filters, &filters)
	if w.routes == "" {
		w.routes = `[{match: {prefix: /}, route: {cluster: up}}]`
	}
	read(t, w.routes, &routes)
	host := object{}
	read(t, "{"+w.host+"}", &host)
	host["name"], host["domains"], host["routes"] = "all", list{"*"}, routes
	hcm := object{
		"@type": types + "filters.network.http_connection_manager.v3.HttpConnectionManager", "stat_prefix": w.name,
		"generate_request_id": false,
		"route_config":        object{"validate_clusters": false, "virtual_hosts": list{host}},
		"http_filters":        append(filters, object{"name": "router", "typed_config": object{"@type": types + "filters.http.router.v3.Router"}}),
		"access_log": list{object{"name": "log", "typed_config": object{"@type": types + "access_loggers.file.v3.FileAccessLog", "path": log,
			"log_format": object{"text_format_source": object{"inline_string": logFormat}}}}},
	}
	return object{"name": w.name, "address": address(port), "filter_chains": list{object{"filters": list{object{"name": "hcm", "typed_config": hcm}}}}}
}

func serve(t *testing.T, h http.Handler, http2 bool) int {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: h, Protocols: new(http.Protocols)}
	s.Protocols.SetHTTP1(!http2)
	s.Protocols.SetUnencryptedHTTP2(http2)
	go s.Serve(ln)
	t.Cleanup(func() { s.Close() })
	return ln.Addr().(*net.TCPAddr).Port
}

// send gives what is answered, less what depends on the time.
func (a *ask) send(port int) string {
	method, path := a.method, a.path
	if method == "" {
		method = "GET"
	}
	if path == "" {
		path = "/"
	}
	var body io.Reader
	if a.body != "" {
		body = strings.NewReader(a.body)
	}
	rq, err := http.NewRequest(method, fmt.Sprintf("http://127.0.0.1:%d%s", port, path), body)
	if err != nil {
		return err.Error()
	}
	rq.Host = "a.test"
	rq.Header.Set("User-Agent", "u")
	for _, h := range a.header {
		name, value, _ := strings.Cut(h, ": ")
		rq.Header.Add(name, value)
	}
	rs, err := transport.RoundTrip(rq)
	if err != nil {
		return err.Error()
	}
	defer rs.Body.Close()
	b, err := io.ReadAll(rs.Body)
	var lines []string
	encoding := rs.Header.Get("Content-Encoding")
	if encoding == "" {
		lines = append(lines, fmt.Sprint("length ", rs.ContentLength))
	} else if method != "HEAD" { // what it is compressed to is each program's own
		if plain, failed := decoded(encoding, b); failed == nil {
			b = plain
		} else if a.path == "" || !strings.Contains(a.path, "content-encoding") {
			err = failed
		}
	}
	for k, v := range rs.Header {
		if k == "Content-Length" && encoding != "" {
			continue
		}
		if k != "Date" && k != "X-Envoy-Upstream-Service-Time" {
			lines = append(lines, fmt.Sprintf("%s: %q", k, v))
		}
	}
	slices.Sort(lines)
	out := fmt.Sprintf("%d\n%s\n%s", rs.StatusCode, strings.Join(lines, "\n"), b)
	if err != nil {
		out += err.Error()
	}
	return out
}

var transport = &http.Transport{DisableCompression: true, DisableKeepAlives: true, ResponseHeaderTimeout: 20 * time.Second}

// peer is a program as it was asked.
type peer struct {
	answers  map[string][]string
	logs     map[string][]string
	counters string
}

// run starts a program, asks it everything, and ends it.
func run(t *testing.T, worlds []*world, clusters list, program string, args ...string) *peer {
	t.Helper()
	dir := t.TempDir()
	ports := harness.FreePorts(t, len(worlds)+1)
	admin := ports[len(worlds)]
	var listeners list
	for i, w := range worlds {
		listeners = append(listeners, w.listener(t, ports[i], filepath.Join(dir, w.name+".log")))
	}
	b, err := json.Marshal(object{"node": object{"id": "x", "cluster": "x"}, "admin": object{"address": address(admin)},
		"static_resources": object{"listeners": listeners, "clusters": clusters}})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "bootstrap.json")
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	defer harness.Serve(t, ports, program, append([]string{"-c", file}, args...)...)()
	p := &peer{answers: map[string][]string{}, logs: map[string][]string{}}
	for i, w := range worlds {
		for j := range w.asks {
			p.answers[w.name] = append(p.answers[w.name], w.asks[j].send(ports[i]))
			if !strings.HasSuffix(program, "usher-proxy") && j < len(w.asks)-1 {
				continue // Envoy's one thread writes in order, and flushes seldom
			}
			harness.Eventually(t, 30*time.Second, w.name+": access log", func() (bool, any) {
				b, err := os.ReadFile(filepath.Join(dir, w.name+".log"))
				// Without metadata Envoy writes an empty object; usher escapes quotes.
				text := strings.ReplaceAll(strings.ReplaceAll(string(b), "|{}\n", "|-\n"), `\"`, `"`)
				p.logs[w.name] = strings.SplitAfter(text, "\n")
				return len(p.logs[w.name]) == j+2, fmt.Sprintf("%v %s", err, b)
			})
		}
	}
	rs, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/stats/prometheus", admin))
	if err != nil {
		t.Fatal(err)
	}
	defer rs.Body.Close()
	all, err := io.ReadAll(rs.Body)
	if err != nil {
		t.Fatal(err)
	}
	p.counters = string(all)
	return p
}

// of gives the counters whose names begin so, in order.
func (p *peer) of(prefix, world string) string {
	var out []string
	for l := range strings.Lines(p.counters) {
		if strings.HasPrefix(l, prefix) && strings.Contains(l, `"`+world+`"`) && !strings.Contains(l, "total_compressed_bytes") {
			out = append(out, strings.Replace(l, "{}", "", 1))
		}
	}
	slices.Sort(out)
	return strings.Join(out, "")
}

// compare runs both programs.
func compare(t *testing.T, worlds []*world, more ...any) {
	envoy, usher := harness.Envoy(t), harness.Bin(t, "usher-proxy")
	clusters := append(list{cluster("up", serve(t, http.HandlerFunc(upstream), false), false)}, more...)
	e := run(t, worlds, clusters, envoy, "--concurrency", "1", "--disable-hot-restart", "-l", "error", "--file-flush-interval-msec", "10")
	u := run(t, worlds, clusters, usher)
	n := 0
	for _, w := range worlds {
		for i := range w.asks {
			a := &w.asks[i]
			if a.loose {
				continue
			}
			n++
			if es, us := e.answers[w.name][i]+"\n"+e.logs[w.name][i], u.answers[w.name][i]+"\n"+u.logs[w.name][i]; (es == us) != (a.differs == "") {
				t.Errorf("%s, request %d (%s):\nEnvoy:\n%s\nusher:\n%s", w.name, i, a.differs, es, us)
			}
		}
		for _, prefix := range w.counters {
			ec, uc := e.of(prefix, w.name), u.of(prefix, w.name)
			if ec == "" || ec != uc {
				t.Errorf("%s:\nEnvoy:\n%s\nusher:\n%s", w.name, ec, uc)
			}
		}
	}
	t.Logf("%d answers, with their logs, are compared", n)
}
