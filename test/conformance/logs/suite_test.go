package logs

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/usher-mesh/usher/test/conformance/beside"
	"github.com/usher-mesh/usher/test/harness"
)

type (
	object = beside.Object
	list   = beside.List
)

// world is a listener with its one log, and what it is asked, in order.
type world struct {
	name    string
	manager string // YAML, more of the HttpConnectionManager
	config  string // YAML, more of the route configuration
	host    string // YAML, more of the virtual host
	routes  string // YAML, a list of Route; "": all to the upstream
	place   string // YAML, more of the listener
	chain   string // YAML, more of its filter chain
	log     string // YAML, more of the FileAccessLog
	filter  string // YAML, the log's filter
	asks    []ask
	json    bool   // lines are objects, whose members' order does not matter
	twice   bool   // requests have a line when they have begun, too
	differs string // why lines are not alike; "": they must be
	// scrub takes what is different each time out of answers and lines; nil: nothing is.
	scrub func(string) string
}

// ask is a request.
type ask struct {
	method, path, body string // by default GET /
	header             []string
	http2              bool
	tls                *tls.Config // nil: in clear
}

// upstream answers with what it got. A path in /status/N has it answer so.
func upstream(w http.ResponseWriter, r *http.Request) {
	told := beside.Told(r)
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
	io.WriteString(w, told)
}

// listener has a log of the world, and one that tells when a request's line must be there.
func (w *world) listener(t *testing.T, port int, dir string) object {
	var routes list
	if w.routes == "" {
		w.routes = `[{name: r, match: {prefix: /}, route: {cluster: up}}]`
	}
	beside.Read(t, w.routes, &routes)
	host := object{"name": "all", "domains": list{"*"}, "routes": routes}
	beside.Read(t, "{"+w.host+"}", &host)
	config := object{"validate_clusters": false, "virtual_hosts": list{host}}
	beside.Read(t, "{"+w.config+"}", &config)
	file := func(name string) object {
		return object{"@type": beside.Types + "access_loggers.file.v3.FileAccessLog", "path": filepath.Join(dir, w.name+name)}
	}
	log, all := file(".log"), file(".all")
	beside.Read(t, "{"+w.log+"}", &log)
	beside.Read(t, "{log_format: {text_format_source: {inline_string: \"%RESPONSE_CODE%\\n\"}}}", &all)
	own := object{"name": "log", "typed_config": log}
	if w.filter != "" {
		filter := object{}
		beside.Read(t, w.filter, &filter)
		own["filter"] = filter
	}
	hcm := object{"generate_request_id": false, "route_config": config, "access_log": list{own, object{"name": "all", "typed_config": all}}}
	beside.Read(t, "{"+w.manager+"}", &hcm)
	l := beside.Listener(w.name, port, hcm)
	beside.Read(t, "{"+w.place+"}", &l)
	chain := l["filter_chains"].(list)[0].(object)
	beside.Read(t, "{"+w.chain+"}", &chain)
	return l
}

// send gives what is answered, less what depends on the time.
func (a *ask) send(port int) string {
	rs, b, err := (&beside.Ask{Method: a.method, Path: a.path, Body: a.body, Header: a.header, HTTP2: a.http2, TLS: a.tls}).Send(port)
	if rs == nil {
		return err.Error()
	}
	out := fmt.Sprintf("%d\n%s\n%s", rs.StatusCode, strings.Join(beside.Fields(rs.Header), "\n"), b)
	if err != nil {
		out += err.Error()
	}
	return out
}

// peer is a program as it was asked.
type peer struct{ answers, logs map[string][]string }

// run starts a program, asks it everything, and ends it.
func run(t *testing.T, worlds []*world, clusters list, program beside.Program) *peer {
	t.Helper()
	dir := t.TempDir()
	ports := harness.FreePorts(t, len(worlds)+1)
	var listeners list
	for i, w := range worlds {
		listeners = append(listeners, w.listener(t, ports[i], dir))
	}
	p := &peer{map[string][]string{}, map[string][]string{}}
	stop := beside.Start(t, ports, beside.Bootstrap(ports[len(worlds)], listeners, clusters), program)
	for i, w := range worlds {
		for j := range w.asks {
			p.answers[w.name] = append(p.answers[w.name], w.scrubbed(w.asks[j].send(ports[i])))
			if !program.Envoy || j == len(w.asks)-1 { // Envoy's one thread writes in order
				harness.Eventually(t, 30*time.Second, fmt.Sprint(program.Path, " ", w.name, ": access log after ", p.answers[w.name]), func() (bool, any) {
					b, err := os.ReadFile(filepath.Join(dir, w.name+".all"))
					return bytes.Count(b, []byte("\n")) == w.linesOf(j+1), fmt.Sprintf("%v %s", err, b)
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

// linesOf tells how many lines requests have at most.
func (w *world) linesOf(requests int) int {
	if w.twice {
		return 2 * requests
	}
	return requests
}

func (w *world) scrubbed(s string) string {
	if w.scrub == nil {
		return s
	}
	return w.scrub(s)
}

// lines gives the log's, objects with their members in order.
func (w *world) lines(t *testing.T, b []byte) []string {
	lines := strings.Split(strings.TrimSuffix(w.scrubbed(string(b)), "\n"), "\n")
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

// compare runs both programs. More are clusters besides.
func compare(t *testing.T, worlds []*world, more ...any) {
	programs := beside.Programs(t)
	up, up2 := beside.Serve(t, http.HandlerFunc(upstream), false), beside.Serve(t, http.HandlerFunc(upstream), true)
	shown := beside.Cluster("up2", up2, true)
	beside.Read(t, "{alt_stat_name: shown, metadata: {filter_metadata: {ns: {k: v, deep: {list: [1, true]}}}}}", &shown)
	clusters := append(more, beside.Cluster("up", up, false), shown, beside.Cluster("dead", harness.FreePorts(t, 1)[0], false))
	e, u := run(t, worlds, clusters, programs[0]), run(t, worlds, clusters, programs[1])
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
