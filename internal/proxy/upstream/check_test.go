package upstream

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"

	"github.com/usher-mesh/usher/internal/proxy/counters"
	"github.com/usher-mesh/usher/internal/proxy/proxytest"
)

// told is a probe that finds what it is told.
type told struct{ findings chan finding }

func (p told) check(ctx context.Context, _ *session) finding {
	select {
	case f := <-p.findings:
		return f
	case <-ctx.Done():
		return finding{as: failedTimeout}
	}
}

// checked makes a cluster with a health check by p.
func checked(t testing.TB, check, cluster string, p probe, warmed func()) (*Cluster, *counters.Set) {
	t.Helper()
	n := &counters.Set{}
	m := new(clusterv3.Cluster)
	proxytest.Decode(t, "name: c\ntype: EDS\neds_cluster_config: {eds_config: {ads: {}}}\nconnect_timeout: 1s\n"+cluster+"\ncommon_lb_config: {update_merge_window: 0s}\nhealth_checks: [{timeout: 3600s, interval: 3600s, "+check+"}]\n", m)
	c, err := Compile(m, Options{Counters: n, Warmed: warmed})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	if p != nil {
		c.checker.probe = p
	}
	return c, n
}

// judge tells the finding of a host's next check.
func judge(c *Cluster, h *Host, f finding) (next time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.checker.next(f.as <= passedDegraded, h.session.judge(f))
}

func healths(c *Cluster) string {
	var all []string
	for _, e := range c.Status().Endpoints {
		all = append(all, fmt.Sprint(e.Host.Addr.Port(), " ", e.Health))
	}
	return strings.Join(all, ", ")
}

const thresholds = "tcp_health_check: {}, unhealthy_threshold: 3, healthy_threshold: 2, unhealthy_interval: 11s, unhealthy_edge_interval: 12s, healthy_edge_interval: 13s, no_traffic_interval: 14s, no_traffic_healthy_interval: 15s"

func TestThresholds(t *testing.T) {
	p := told{make(chan finding)}
	c, n := checked(t, thresholds, "", p, nil)
	set(t, c, "1")
	h := c.Hosts()[0]
	c.used.Store(true)
	for i, step := range []struct {
		as     result
		health string
		next   time.Duration
	}{
		{passed, "healthy", time.Hour}, // the first is enough
		{failedNetwork, "healthy", 12 * time.Second},
		{failedRetriable, "healthy", 12 * time.Second},
		{passed, "healthy", time.Hour}, // in a row
		{failedNetwork, "healthy", 12 * time.Second},
		{failedNetwork, "healthy", 12 * time.Second},
		{failedTimeout, "/failed_active_hc/active_hc_timeout", 11 * time.Second},
		{failedNetwork, "/failed_active_hc", 11 * time.Second},
		{passed, "/failed_active_hc", 13 * time.Second},
		{failedNetwork, "/failed_active_hc", 11 * time.Second},
		{passed, "/failed_active_hc", 13 * time.Second},
		{passed, "healthy", time.Hour},
		{passedDegraded, "/degraded_active_hc", time.Hour},
		{passed, "healthy", time.Hour},
		{failedNow, "/failed_active_hc", 11 * time.Second},
		{passed, "/failed_active_hc", 13 * time.Second},
		{passed, "healthy", time.Hour},
	} {
		next := judge(c, h, finding{as: step.as})
		if got := c.Status().Endpoints[0].Health; got != step.health || next != step.next {
			t.Fatalf("%d: %s, next in %v; want %s, %v", i, got, next, step.health, step.next)
		}
	}
	want := "health_check.attempt 1, health_check.failure 8, health_check.healthy 1, health_check.network_failure 6, health_check.success 9"
	if got := strings.ReplaceAll(values(n), "health_check.attempt 1, ", ""); got != strings.TrimPrefix(want, "health_check.attempt 1, ") {
		t.Errorf("counted %s\nwant    %s", got, want)
	}
	c.used.Store(false)
	if d := judge(c, h, finding{as: passed}); d != 15*time.Second {
		t.Errorf("without traffic: %v", d)
	}
	if d := judge(c, h, finding{as: failedNetwork}); d != 14*time.Second {
		t.Errorf("without traffic, failing: %v", d)
	}
	h.FailHealth()
	if got := healths(c); got != "1 /failed_active_hc/excluded_via_immediate_hc_fail" {
		t.Errorf("told to be out: %s", got)
	}
}

// A cluster is warm when the first check of each endpoint is over, of which one may be
// told by its going.
func TestWarming(t *testing.T) {
	p, warmed := told{make(chan finding)}, make(chan bool, 1)
	c, _ := checked(t, thresholds, "", p, func() { warmed <- true })
	if !c.Warm() {
		t.Error("waits for none")
	}
	set(t, c, "1 2 3")
	if c.Warm() {
		t.Error("warm before the checks")
	}
	p.findings <- finding{as: passed}
	p.findings <- finding{as: failedNetwork}
	var waiting []*Host
	for deadline := time.Now().Add(10 * time.Second); len(waiting) != 1; { // the findings are taken in soon
		if time.Now().After(deadline) {
			t.Fatal("not two of three checks are over")
		}
		waiting = nil
		c.mu.Lock()
		for _, h := range c.distinct() {
			if h.session.first {
				waiting = append(waiting, h)
			}
		}
		c.mu.Unlock()
		runtime.Gosched()
	}
	select {
	case <-warmed:
		t.Fatal("warm with a check under way")
	default:
	}
	rest := ""
	for _, h := range c.Hosts() {
		if h != waiting[0] {
			rest += fmt.Sprint(h.Addr.Port(), " ")
		}
	}
	set(t, c, rest)
	<-warmed
	if !c.Warm() {
		t.Error("not warm")
	}
}

// An endpoint that discovery drops stays while its checks go well, unless they are not
// to matter.
func TestRemoval(t *testing.T) {
	for _, tt := range []struct{ cluster, want, then string }{
		{"", "1 /pending_dynamic_removal", ""},
		{"ignore_health_on_host_removal: true", "", ""},
	} {
		c, _ := checked(t, thresholds, tt.cluster, told{make(chan finding)}, nil)
		set(t, c, "1 2")
		hosts := c.Hosts()
		judge(c, hosts[0], finding{as: passed})
		set(t, c, "")
		if got := healths(c); got != tt.want {
			t.Errorf("%q: %s", tt.cluster, got)
			continue
		}
		if tt.want == "" {
			continue
		}
		set(t, c, "1")
		if got := healths(c); got != "1 healthy" || c.Hosts()[0] != hosts[0] {
			t.Errorf("again there: %s", got)
		}
		set(t, c, "")
		judge(c, hosts[0], finding{as: failedNow})
		if got := healths(c); got != "" {
			t.Errorf("failed: %s", got)
		}
	}
}

func TestNewHosts(t *testing.T) {
	c, _ := checked(t, thresholds, "", told{make(chan finding)}, nil)
	c.ignoresNew = true
	m := new(endpointv3.ClusterLoadAssignment)
	proxytest.Decode(t, strings.Replace(endpoints("1 2 3"), "port_value: 2}}", "port_value: 2}}, health_check_config: {disable_active_health_check: true}", 1), m)
	if err := c.SetEndpoints(m); err != nil {
		t.Fatal(err)
	}
	if got := healths(c); got != "1 /failed_active_hc/pending_active_hc, 2 healthy, 3 /failed_active_hc/pending_active_hc" {
		t.Error(got)
	}
	for range 10 { // those that wait do not count
		if h, err := c.Pick(t.Context(), Ask{}); err != nil || h != c.Hosts()[1] {
			t.Error(h.Text, err)
		}
	}
	judge(c, c.Hosts()[0], finding{as: failedNetwork})
	if got := healths(c); !strings.HasPrefix(got, "1 /failed_active_hc, ") {
		t.Error(got)
	}
}

// A good check takes an ejected host back, if that is wanted.
func TestCheckUnejects(t *testing.T) {
	for text, want := range map[string]string{"": "healthy", ", successful_active_health_check_uneject_host: false": "/failed_outlier_check"} {
		c, _ := checked(t, thresholds, "outlier_detection: {consecutive_5xx: 1, max_ejection_percent: 100"+text+"}", told{make(chan finding)}, nil)
		set(t, c, "1")
		h := c.Hosts()[0]
		judge(c, h, finding{as: passed})
		h.Answered(500, false)
		judge(c, h, finding{as: passed})
		if got := c.Status().Endpoints[0].Health; got != want {
			t.Errorf("%q: %s", text, got)
		}
	}
}

// probed makes one check of a server with a kind of check.
func probed(t *testing.T, kind string, addr net.Addr, fields string) (finding, *checker) {
	t.Helper()
	c, _ := checked(t, kind+", unhealthy_threshold: 1, healthy_threshold: 1", fields, nil, nil)
	a := addr.(*net.TCPAddr)
	h := c.host(hostKey{addr: a.AddrPort(), socket: -1})
	s := &session{k: c.checker, host: h, via: c.checker.via.host(h.key)}
	t.Cleanup(s.drop)
	t.Cleanup(s.via.drain)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	return c.checker.probe.check(ctx, s), c.checker
}

func TestHTTPProbe(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var last *http.Request
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	server := &http.Server{Protocols: protocols, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		last = r
		r.Body = io.NopCloser(strings.NewReader(string(body)))
		mu.Unlock()
		switch r.URL.Path {
		case "/out":
			w.Header().Set("X-Envoy-Immediate-Health-Check-Fail", "true")
			w.WriteHeader(503)
		case "/degraded":
			w.Header().Set("X-Envoy-Degraded", "")
		case "/service":
			w.Header().Set("X-Envoy-Upstream-Healthchecked-Cluster", "web-1")
		case "/long":
			io.WriteString(w, strings.Repeat("x", 2000)+"end")
		case "/hang":
			<-r.Context().Done()
		case "/302":
			w.WriteHeader(302)
		default:
			io.WriteString(w, "all is well")
		}
	})}
	go server.Serve(ln)
	t.Cleanup(func() { server.Close() })
	for _, tt := range []struct {
		check string
		want  finding
	}{
		{"path: /", finding{as: passed}},
		{"path: /, codec_client_type: HTTP2", finding{as: passed}},
		{"path: /302", finding{as: failedNow}},
		{"path: /302, expected_statuses: [{start: 200, end: 303}]", finding{as: passed}},
		{"path: /302, expected_statuses: [{start: 200, end: 302}]", finding{as: failedNow}},
		{"path: /302, retriable_statuses: [{start: 300, end: 400}]", finding{as: failedRetriable}},
		{"path: /out", finding{as: failedNow, excludes: true}},
		{"path: /degraded", finding{as: passedDegraded}},
		{"path: /service, service_name_matcher: {prefix: web}", finding{as: passed}},
		{"path: /service, service_name_matcher: {exact: web}", finding{as: failedNow}},
		{"path: /, service_name_matcher: {prefix: web}", finding{as: failedNow}},
		{"path: /, receive: [{binary: YWxs}, {text: 77656c6c}]", finding{as: passed}}, // all, well
		{"path: /, receive: [{text: 77656c6c}, {binary: YWxs}]", finding{as: failedNow}},
		{"path: /long, receive: [{binary: ZW5k}]", finding{as: failedNow}}, // end
		{"path: /long, receive: [{binary: ZW5k}], response_buffer_size: 0", finding{as: passed}},
		{"path: /long", finding{as: passed}},
		{"path: /hang", finding{as: failedTimeout}},
	} {
		if got, _ := probed(t, "http_health_check: {"+tt.check+"}", ln.Addr(), ""); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.check, got, tt.want)
		}
	}
	probed(t, "http_health_check: {path: /p, host: h, method: POST, send: {binary: YWxs}, request_headers_to_add: [{header: {key: X-A, value: 5%%}}], request_headers_to_remove: [user-agent]}", ln.Addr(), "")
	body, _ := io.ReadAll(last.Body)
	if last.Method != "POST" || last.Host != "h" || last.Header.Get("X-A") != "5%" || string(body) != "all" || last.UserAgent() != "" {
		t.Errorf("%v %q", last, body)
	}
	probed(t, "http_health_check: {path: /p}", ln.Addr(), "")
	if last.Host != "c" || last.UserAgent() != "Envoy/HC" {
		t.Errorf("%v", last)
	}
	closed, _ := net.Listen("tcp", "127.0.0.1:0")
	closed.Close()
	for _, kind := range []string{"http_health_check: {path: /}", "tcp_health_check: {}"} {
		if got, _ := probed(t, kind, closed.Addr(), ""); got.as != failedNetwork {
			t.Errorf("nobody listens, %s: %v", kind, got)
		}
	}
}

func TestTCPProbe(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() { // it says PONG to PING, and nothing else
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer nc.Close()
				b := make([]byte, 4)
				for {
					if _, err := io.ReadFull(nc, b); err != nil || string(b) == "QUIT" {
						return
					}
					if string(b) == "PING" {
						io.WriteString(nc, "\x00PO\x00NG")
					}
				}
			}()
		}
	}()
	for _, tt := range []struct {
		check string
		want  result
	}{
		{"", passed},
		{"send: {text: '50494e47'}, receive: [{text: '504f'}, {text: '4e47'}]", passed},
		{"send: {text: '50494e47'}, receive: [{text: '504f4e47'}]", failedTimeout},
		{"send: {text: '51554954'}, receive: [{text: '504f'}]", failedNetwork},
		{"receive: [{text: '504f'}]", failedTimeout},
	} {
		if got, _ := probed(t, "tcp_health_check: {"+tt.check+"}", ln.Addr(), ""); got.as != tt.want {
			t.Errorf("%s: %v, want %v", tt.check, got.as, tt.want)
		}
	}
}

func TestCheckRefused(t *testing.T) {
	const good = "timeout: 1s, interval: 1s, unhealthy_threshold: 1, healthy_threshold: 1, "
	for text, want := range map[string]string{
		"timeout: 1s, tcp_health_check: {}":                                                                      "health_checks[0]: timeout, interval, unhealthy_threshold and healthy_threshold are required",
		good + "alt_port: 1":                                                                                     "health_checks[0].alt_port: not supported",
		good + "event_log_path: x, tcp_health_check: {}":                                                         "health_checks[0].event_log_path: not supported",
		good + "event_logger: [{name: x}]":                                                                       "health_checks[0].event_logger: not supported",
		good + "transport_socket_match_criteria: {a: b}":                                                         "health_checks[0].transport_socket_match_criteria: not supported",
		good + "custom_health_check: {name: redis}":                                                              "health_checks[0].custom_health_check: not supported",
		good + "interval_jitter: 0s":                                                                             "health_checks[0].health_checker: none of http_health_check, tcp_health_check, grpc_health_check",
		good + "no_traffic_interval: 0s":                                                                         "health_checks[0].no_traffic_interval: must be above 0",
		good + "http_health_check: {}":                                                                           "health_checks[0].http_health_check.path: not the path of a request",
		good + "http_health_check: {path: /, use_alpn_protocol: true}":                                           "health_checks[0].http_health_check.use_alpn_protocol: not supported",
		good + "http_health_check: {path: /, codec_client_type: HTTP3}":                                          "health_checks[0].http_health_check.codec_client_type: HTTP3: not supported",
		good + "http_health_check: {path: /, send: {text: 'aa'}}":                                                "health_checks[0].http_health_check.send: GET has no content",
		good + "http_health_check: {path: /, receive: [{text: zz}]}":                                             "health_checks[0].http_health_check.receive[0].text: not hexadecimal",
		good + "http_health_check: {path: /, expected_statuses: [{start: 200, end: 200}]}":                       "health_checks[0].http_health_check.expected_statuses[0]: not a range of statuses",
		good + "http_health_check: {path: /, request_headers_to_add: [{header: {key: a, value: '%HOSTNAME%'}}]}": "health_checks[0].http_health_check.request_headers_to_add[0].header.value: a format: not supported",
		good + "grpc_health_check: {}":                                                                           "health_checks[0].grpc_health_check: the cluster does not speak HTTP/2",
		good + "tcp_health_check: {proxy_protocol_config: {}}":                                                   "health_checks[0].tcp_health_check.proxy_protocol_config: not supported",
	} {
		m := new(clusterv3.Cluster)
		proxytest.Decode(t, "{name: c, type: STATIC, health_checks: [{"+text+"}]}", m)
		if _, err := Compile(m, Options{}); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}
