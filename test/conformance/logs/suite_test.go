package logs

import (
	"bytes"
	"crypto/tls"
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

// world is a listener with its one log, and what it is asked, in order.
type world struct {
	name    string
	manager string // YAML, more of the HttpConnectionManager
	config  string // YAML, more of the route configuration
	host    string // YAML, more of the virtual host
	routes  string // YAML, a list of Route; "": all to the upstream
	log     string // YAML, more of the FileAccessLog
	filter  string // YAML, the log's filter
	asks    []ask
	json    bool   // lines are objects, whose members' order does not matter
	differs string // why lines are not alike; "": they must be
}

// ask is a request.
type ask struct {
	method, path, body string // by default GET /
	header             []string
	http2              bool
}

// upstream answers with what it got. A path in /status/N has it answer so.
func upstream(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	var lines []string
	for k, v := range r.Header {
		lines = append(lines, fmt.Sprintf("got %s: %q", k, v))
	}
	slices.Sort(lines)
	w.Header()["Date"] = nil
	w.Header().Set("Content-Type", "text/plain")
	w.Header().Set("X-Up", "one")
	if r.Header.Get("Content-Type") == "application/grpc" {
		w.Header().Set("Content-Type", "application/grpc")
		w.Header().Set("Trailer", "grpc-status")
		defer w.Header().Set("Grpc-Status", r.Header.Get("X-Status"))
	}
	status := 200
	fmt.Sscanf(r.URL.Path, "/status/%d", &status)
	w.WriteHeader(status)
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

// read reads YAML over what is there.
func read(t *testing.T, text string, into any) {
	t.Helper()
	if err := yaml.Unmarshal([]byte(text), into); err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
}

// listener has a log of the world, and one that tells when a request's line must be there.
func (w *world) listener(t *testing.T, port int, dir string) object {
	var routes list
	if w.routes == "" {
		w.routes = `[{name: r, match: {prefix: /}, route: {cluster: up}}]`
	}
	read(t, w.routes, &routes)
	host := object{"name": "all", "domains": list{"*"}, "routes": routes}
	read(t, "{"+w.host+"}", &host)
	config := object{"validate_clusters": false, "virtual_hosts": list{host}}
	read(t, "{"+w.config+"}", &config)
	file := func(name string) object {
		return object{"@type": types + "access_loggers.file.v3.FileAccessLog", "path": filepath.Join(dir, w.name+name)}
	}
	log, all := file(".log"), file(".all")
	read(t, "{"+w.log+"}", &log)
	read(t, "{log_format: {text_format_source: {inline_string: \"%RESPONSE_CODE%\\n\"}}}", &all)
	own := object{"name": "log", "typed_config": log}
	if w.filter != "" {
		filter := object{}
		read(t, w.filter, &filter)
		own["filter"] = filter
	}
	hcm := object{
		"@type": types + "filters.network.http_connection_manager.v3.HttpConnectionManager", "stat_prefix": w.name,
		"generate_request_id": false, "route_config": config,
		"http_filters": list{object{"name": "router", "typed_config": object{"@type": types + "filters.http.router.v3.Router"}}},
		"access_log":   list{own, object{"name": "all", "typed_config": all}},
	}
	read(t, "{"+w.manager+"}", &hcm)
	return object{"name": w.name, "address": address(port), "filter_chains": list{object{"filters": list{object{"name": "hcm", "typed_config": hcm}}}}}
}

func serve(t *testing.T, http2 bool) int {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: http.HandlerFunc(upstream), Protocols: new(http.Protocols)}
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
	tr := &http.Transport{DisableCompression: true, DisableKeepAlives: true, Protocols: new(http.Protocols), TLSClientConfig: &tls.Config{}}
	tr.Protocols.SetHTTP1(!a.http2)
	tr.Protocols.SetUnencryptedHTTP2(a.http2)
	rs, err := tr.RoundTrip(rq)
	if err != nil {
		return err.Error()
	}
	defer rs.Body.Close()
	b, err := io.ReadAll(rs.Body)
	lines := []string{}
	for k, v := range rs.Header {
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

// peer is a program as it was asked.
type peer struct{ answers, logs map[string][]string }

// run starts a program, asks it everything, and ends it.
func run(t *testing.T, worlds []*world, clusters list, program string, args ...string) *peer {
	t.Helper()
	dir := t.TempDir()
	ports := harness.FreePorts(t, len(worlds)+1)
	var listeners list
	for i, w := range worlds {
		listeners = append(listeners, w.listener(t, ports[i], dir))
	}
	b, err := json.Marshal(object{"node": object{"id": "x", "cluster": "x"}, "admin": object{"address": address(ports[len(worlds)])},
		"static_resources": object{"listeners": listeners, "clusters": clusters}})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "bootstrap.json")
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	p := &peer{map[string][]string{}, map[string][]string{}}
	stop := harness.Serve(t, ports, program, append([]string{"-c", file}, args...)...)
	for i, w := range worlds {
		for j := range w.asks {
			p.answers[w.name] = append(p.answers[w.name], w.asks[j].send(ports[i]))
			if strings.HasSuffix(program, "usher-proxy") || j == len(w.asks)-1 { // Envoy's one thread writes in order
				harness.Eventually(t, 30*time.Second, w.name+": access log", func() (bool, any) {
					b, err := os.ReadFile(filepath.Join(dir, w.name+".all"))
					return bytes.Count(b, []byte("\n")) == j+1, fmt.Sprintf("%v %s", err, b)
				})
			}
		}
	}
	stop()
	for _, w := range worlds {
		b, err := os.ReadFile(filepath.Join(dir, w.name+".log"))
		if err != nil {
			t.Fatal(err)
		}
		p.logs[w.name] = w.lines(t, b)
	}
	return p
}

// lines gives the log's, objects with their members in order.
func (w *world) lines(t *testing.T, b []byte) []string {
	lines := strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
	if !w.json {
		return lines
	}
	for i, l := range lines {
		var v any
		d := json.NewDecoder(strings.NewReader(l))
		d.UseNumber()
		if err := d.Decode(&v); err != nil {
			t.Fatalf("%s: %v in %s", w.name, err, l)
		}
		sorted, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		lines[i] = string(sorted)
	}
	return lines
}

// compare runs both programs.
func compare(t *testing.T, worlds []*world) {
	envoy, usher := harness.Envoy(t), harness.Bin(t, "usher-proxy")
	shown := cluster("up2", serve(t, true), true)
	read(t, "{alt_stat_name: shown, metadata: {filter_metadata: {ns: {k: v, deep: {list: [1, true]}}}}}", &shown)
	clusters := list{cluster("up", serve(t, false), false), shown, cluster("dead", harness.FreePorts(t, 1)[0], false)}
	e := run(t, worlds, clusters, envoy, "--concurrency", "1", "--disable-hot-restart", "-l", "error", "--file-flush-interval-msec", "10")
	u := run(t, worlds, clusters, usher)
	answers, lines := 0, 0
	for _, w := range worlds {
		for i := range w.asks {
			answers++
			if es, us := e.answers[w.name][i], u.answers[w.name][i]; es != us {
				t.Errorf("%s, request %d:\nEnvoy:\n%s\nusher:\n%s", w.name, i, es, us)
			}
		}
		el, ul := e.logs[w.name], u.logs[w.name]
		lines += len(el)
		if slices.Equal(el, ul) != (w.differs == "") {
			t.Errorf("%s (%s):\nEnvoy:\n%s\nusher:\n%s", w.name, w.differs, strings.Join(el, "\n"), strings.Join(ul, "\n"))
		}
	}
	t.Logf("%d answers and %d lines are compared", answers, lines)
}
