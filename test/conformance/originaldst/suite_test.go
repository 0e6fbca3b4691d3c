package originaldst

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/usher-mesh/usher/test/conformance/beside"
	"github.com/usher-mesh/usher/test/harness"
)

// ask is a connection with one request.
type ask struct {
	to      string // address
	proxy   string // PROXY protocol in front
	header  []string
	http2   bool
	differs string // why usher answers otherwise; "": it must not
}

func (a *ask) String() string { return fmt.Sprintf("%s %q %q", a.to, a.proxy, a.header) }

// send gives the answer's status and body, or "closed".
func (a *ask) send() string {
	dial := func() (net.Conn, error) {
		c, err := net.Dial("tcp", a.to)
		if err == nil {
			c.SetDeadline(time.Now().Add(20 * time.Second))
			_, err = io.WriteString(c, a.proxy)
		}
		return c, err
	}
	tr := &http.Transport{DisableCompression: true, DisableKeepAlives: true, Protocols: new(http.Protocols), DialContext: func(context.Context, string, string) (net.Conn, error) { return dial() }}
	tr.Protocols.SetHTTP1(!a.http2)
	tr.Protocols.SetUnencryptedHTTP2(a.http2)
	rq, _ := http.NewRequest("GET", "http://a.test/", nil)
	for _, h := range a.header {
		name, value, _ := strings.Cut(h, ": ")
		rq.Header.Add(name, value)
	}
	rs, err := tr.RoundTrip(rq)
	if err != nil {
		return "closed"
	}
	defer rs.Body.Close()
	b, err := io.ReadAll(rs.Body)
	return fmt.Sprintln(rs.StatusCode, string(b), err)
}

// servers tell the address at which they are asked, on one port of these addresses: in clear
// HTTP/1.1 and HTTP/2, else over TLS.
func servers(t *testing.T, secure bool, port int, addresses ...string) {
	t.Helper()
	for _, a := range addresses {
		ln, err := net.Listen("tcp", net.JoinHostPort(a, fmt.Sprint(port)))
		if err != nil {
			t.Fatal(err)
		}
		s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header()["Date"] = nil
			fmt.Fprintf(w, "at %s by %s, TLS %v, %s", r.Context().Value(http.LocalAddrContextKey), r.Proto, r.TLS != nil, r.Host)
		}))
		s.Listener.Close()
		s.Listener = ln
		s.Config.Protocols = new(http.Protocols)
		s.Config.Protocols.SetHTTP1(true)
		s.Config.Protocols.SetUnencryptedHTTP2(!secure)
		if secure {
			s.TLS = new(tls.Config)
			s.StartTLS()
		} else {
			s.Start()
		}
		t.Cleanup(s.Close)
	}
}

// world is a configuration and what is asked of it, in order.
type world struct {
	admin               int
	listeners, clusters beside.List
	asks                []ask
	counters            []string // that both must have at one value, not zero
}

const line = "%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% up %UPSTREAM_HOST% local %DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_LOCAL_PORT% " +
	"direct %DOWNSTREAM_DIRECT_LOCAL_ADDRESS%"

// logged has the listener's filter write its lines where run reads them.
func logged(name string) beside.List {
	return beside.List{beside.Object{"name": "file", "typed_config": beside.Object{"@type": beside.Types + "access_loggers.file.v3.FileAccessLog", "path": "LOG",
		"log_format": beside.Object{"text_format_source": beside.Object{"inline_string": name + " " + line + "\n"}}}}}
}

// web is a listener of HTTP whose requests go to the cluster. More is YAML of the manager.
func web(t *testing.T, name string, port int, cluster, more string) beside.Object {
	t.Helper()
	manager := beside.Object{"generate_request_id": false}
	beside.Read(t, more, &manager)
	manager["access_log"] = logged(name)
	route := beside.Object{"match": beside.Object{"prefix": "/"}, "route": beside.Object{"cluster": cluster}}
	manager["route_config"] = beside.Object{"name": name, "virtual_hosts": beside.List{beside.Object{"name": "v", "domains": beside.List{"*"}, "routes": beside.List{route}}}}
	return beside.Listener(name, port, manager)
}

// bytes is a listener of bytes that go to the cluster.
func bytes(name string, port int, cluster string) beside.Object {
	proxy := beside.Object{"@type": beside.Types + "filters.network.tcp_proxy.v3.TcpProxy", "stat_prefix": name, "cluster": cluster, "access_log": logged(name)}
	return beside.Object{"name": name, "address": beside.Address(port), "filter_chains": beside.List{beside.Object{"filters": beside.List{beside.Object{"name": "tcp", "typed_config": proxy}}}}}
}

// with gives a listener more fields, in YAML.
func with(t *testing.T, l beside.Object, more string) beside.Object {
	t.Helper()
	beside.Read(t, strings.ReplaceAll(more, "TYPES", beside.Types), &l)
	return l
}

// clusters reads YAML. ORIGINAL stands for the type with what goes with it.
func clusters(t *testing.T, text string) (list beside.List) {
	t.Helper()
	const original = "type: ORIGINAL_DST, lb_policy: CLUSTER_PROVIDED, connect_timeout: 1s"
	beside.Read(t, strings.NewReplacer("ORIGINAL", original, "TYPES", beside.Types).Replace(text), &list)
	return list
}

// failure is what Envoy says besides of why there is no connection.
var failure = regexp.MustCompile(`\|[^ }]*}`)

// start runs a program until it is stopped, or the test ends. Log is the file of its lines.
func (w *world) start(t *testing.T, p beside.Program) (log string, stop func()) {
	t.Helper()
	log = filepath.Join(t.TempDir(), "log")
	b, err := json.Marshal(beside.Bootstrap(w.admin, w.listeners, w.clusters))
	if err != nil {
		t.Fatal(err)
	}
	var bootstrap beside.Object
	beside.Read(t, strings.ReplaceAll(string(b), "LOG", log), &bootstrap)
	stop = beside.Start(t, []int{w.admin}, bootstrap, p)
	harness.Eventually(t, 30*time.Second, p.Path+" is ready", func() (bool, any) {
		status, text := beside.Page(t, w.admin, "/ready")
		return status == 200, text
	})
	return log, stop
}

// run gives the answers with their lines of the log, and counters.
func (w *world) run(t *testing.T, p beside.Program) (answers []string, counted map[string]string) {
	t.Helper()
	log, stop := w.start(t, p)
	defer stop()
	for i := range w.asks {
		answer := w.asks[i].send()
		harness.Eventually(t, 30*time.Second, w.asks[i].String()+": access log", func() (bool, any) {
			b, err := os.ReadFile(log)
			lines := strings.SplitAfter(failure.ReplaceAllString(string(b), "}"), "\n")
			if len(lines) != i+2 {
				return false, fmt.Sprintf("%v %s", err, b)
			}
			answers = append(answers, answer+lines[i])
			return true, nil
		})
	}
	counted = map[string]string{}
	_, text := beside.Page(t, w.admin, "/stats")
	for l := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimSpace(l), ": "); ok {
			counted[name] = value
		}
	}
	return answers, counted
}

// compare runs both programs.
func (w *world) compare(t *testing.T) {
	t.Helper()
	both := beside.Programs(t)
	e, ec := w.run(t, both[0])
	u, uc := w.run(t, both[1])
	for i := range w.asks {
		if a := &w.asks[i]; (e[i] == u[i]) != (a.differs == "") {
			t.Errorf("%s (%s):\nEnvoy: %s\nusher: %s", a, a.differs, e[i], u[i])
		}
	}
	for _, name := range w.counters {
		if ec[name] != uc[name] || ec[name] == "" || ec[name] == "0" {
			t.Errorf("%s: Envoy %q, usher %q", name, ec[name], uc[name])
		}
	}
	t.Logf("%d answers, with their logs, and %d counters are compared", len(w.asks), len(w.counters))
}
