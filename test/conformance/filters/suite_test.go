package filters

import (
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

// world is a listener with its filters, and what it is asked, in order.
type world struct {
	name     string
	filters  string // YAML, a list of HttpFilter in front of the router
	routes   string // YAML, a list of Route; "": all to the upstream
	host     string // YAML, more of the virtual host
	asks     []ask
	counters []string // names in Prometheus' text begin so
	stats    []string // names in Envoy's text begin so
	log      string   // more of the lines' format
}

// ask is a request.
type ask struct {
	method, path string // by default GET /
	header       []string
	body         string
	http2        bool
	differs      string // why usher answers otherwise; "": it must not
	loose        bool   // the answer depends on when it is asked
}

// upstream answers with what it got, less what an authorization server's answer leaves there.
func upstream(w http.ResponseWriter, r *http.Request) {
	w.Header()["Date"] = nil
	w.Header().Set("Content-Type", "text/plain")
	io.WriteString(w, beside.Told(r, "X-Request-Id"))
}

const logFormat = "%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS%|%DYNAMIC_METADATA(m)%"

func (w *world) listener(t *testing.T, port int, log string) object {
	var filters, routes list
	beside.Read(t, w.filters, &filters)
	if w.routes == "" {
		w.routes = `[{match: {prefix: /}, route: {cluster: up}}]`
	}
	beside.Read(t, w.routes, &routes)
	host := object{}
	beside.Read(t, "{"+w.host+"}", &host)
	host["name"], host["domains"], host["routes"] = "all", list{"*"}, routes
	return beside.Listener(w.name, port, object{
		"generate_request_id": false,
		"route_config":        object{"validate_clusters": false, "virtual_hosts": list{host}},
		"http_filters":        filters,
		"access_log": list{object{"name": "log", "typed_config": object{"@type": beside.Types + "access_loggers.file.v3.FileAccessLog", "path": log,
			"log_format": object{"text_format_source": object{"inline_string": logFormat + w.log + "\n"}}}}},
	})
}

// send gives what is answered, less what depends on the time.
func (a *ask) send(port int) string {
	rs, b, err := (&beside.Ask{Method: a.method, Path: a.path, Body: a.body, Header: a.header, HTTP2: a.http2}).Send(port)
	if rs == nil {
		return err.Error()
	}
	var lines []string
	encoding := rs.Header.Get("Content-Encoding")
	if encoding == "" {
		lines = append(lines, fmt.Sprint("length ", rs.ContentLength))
	} else if a.method != "HEAD" { // what it is compressed to is each program's own
		if plain, failed := decoded(encoding, b); failed == nil {
			b = plain
		} else if a.path == "" || !strings.Contains(a.path, "content-encoding") {
			err = failed
		}
	}
	less := ""
	if encoding != "" {
		less = "Content-Length"
	}
	lines = append(lines, beside.Fields(rs.Header, less)...)
	out := fmt.Sprintf("%d\n%s\n%s", rs.StatusCode, strings.Join(lines, "\n"), b)
	if err != nil {
		out += err.Error()
	}
	return out
}

// peer is a program as it was asked.
type peer struct {
	answers  map[string][]string
	logs     map[string][]string
	counters string
	stats    string // Envoy's text
}

// run starts a program, asks it everything, and ends it.
func run(t *testing.T, worlds []*world, clusters list, program beside.Program) *peer {
	t.Helper()
	dir := t.TempDir()
	ports := harness.FreePorts(t, len(worlds)+1)
	admin := ports[len(worlds)]
	var listeners list
	for i, w := range worlds {
		listeners = append(listeners, w.listener(t, ports[i], filepath.Join(dir, w.name+".log")))
	}
	defer beside.Start(t, ports, beside.Bootstrap(admin, listeners, clusters), program)()
	p := &peer{answers: map[string][]string{}, logs: map[string][]string{}}
	for i, w := range worlds {
		for j := range w.asks {
			p.answers[w.name] = append(p.answers[w.name], w.asks[j].send(ports[i]))
			if program.Envoy && j < len(w.asks)-1 {
				continue // Envoy's one thread writes in order, and flushes seldom
			}
			harness.Eventually(t, 30*time.Second, w.name+": access log", func() (bool, any) {
				b, err := os.ReadFile(filepath.Join(dir, w.name+".log"))
				// Without metadata Envoy writes an empty object; usher escapes quotes.
				text := strings.ReplaceAll(strings.ReplaceAll(string(b), "|{}", "|-"), `\"`, `"`)
				p.logs[w.name] = strings.SplitAfter(text, "\n")
				return len(p.logs[w.name]) == j+2, fmt.Sprintf("%v %s", err, b)
			})
		}
	}
	p.counters, p.stats = get(t, admin, "/stats/prometheus"), get(t, admin, "/stats")
	return p
}

func get(t *testing.T, admin int, path string) string {
	t.Helper()
	_, text := beside.Page(t, admin, path)
	return text
}

// told gives the statistics whose names begin so; of histograms, which Envoy tells late,
// the name alone.
func (p *peer) told(prefix string) string {
	var out []string
	for l := range strings.Lines(p.stats) {
		if strings.HasPrefix(l, prefix) {
			name, value, _ := strings.Cut(strings.TrimSpace(l), ": ")
			if strings.ContainsAny(value, "PN") {
				value = "a histogram"
			}
			out = append(out, name+": "+value+"\n")
		}
	}
	slices.Sort(out)
	return strings.Join(out, "")
}

// of gives the counters whose names begin so, in order.
func (p *peer) of(prefix, world string) string {
	var out []string
	for l := range strings.Lines(p.counters) {
		if strings.HasPrefix(l, prefix) && strings.Contains(l, `"`+world+`"`) && !strings.Contains(l, "total_compressed_bytes") && !strings.Contains(l, "upstream_rq_time") {
			out = append(out, strings.Replace(l, "{}", "", 1))
		}
	}
	slices.Sort(out)
	return strings.Join(out, "")
}

// compare runs both programs.
func compare(t *testing.T, worlds []*world, more ...any) {
	programs := beside.Programs(t)
	clusters := append(list{beside.Cluster("up", beside.Serve(t, http.HandlerFunc(upstream), false), false)}, more...)
	e, u := run(t, worlds, clusters, programs[0]), run(t, worlds, clusters, programs[1])
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
		for _, prefix := range w.stats {
			if es, us := e.told(prefix), u.told(prefix); es == "" || es != us {
				t.Errorf("%s:\nEnvoy:\n%s\nusher:\n%s", w.name, es, us)
			}
		}
	}
	t.Logf("%d answers, with their logs, are compared", n)
}
