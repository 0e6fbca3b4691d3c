package routing

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/usher-mesh/usher/test/harness"
)

// servers starts five that answer with their number, 0 to 4. One of those that a request's
// X-Bad names has X-Bad-Answer instead: a status, "grpc=14", "degraded", or "hang".
func servers(t *testing.T) (ports []int) {
	t.Helper()
	for i := range 5 {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		protocols := new(http.Protocols)
		protocols.SetHTTP1(true)
		protocols.SetUnencryptedHTTP2(true)
		server := &http.Server{Protocols: protocols, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/grpc.health.v1.Health/Check" {
				w.Header().Set("Content-Type", "application/grpc")
				w.Header().Set("Trailer", "Grpc-Status")
				w.Write([]byte{0, 0, 0, 0, 2, 8, byte(1 + i/4)}) // SERVING, but the last is not
				w.Header().Set("Grpc-Status", "0")
				return
			}
			bad, answer := r.Header.Get("X-Bad"), r.Header.Get("X-Bad-Answer")
			if q := r.URL.Query(); q.Has("bad") { // a health check
				bad, answer = q.Get("bad"), q.Get("answer")
			}
			if strings.Contains(bad, strconv.Itoa(i)) {
				switch a := answer; {
				case a == "out":
					w.Header().Set("X-Envoy-Immediate-Health-Check-Fail", "")
				case a == "hang":
					<-r.Context().Done()
				case a == "degraded":
					w.Header().Set("X-Envoy-Degraded", "")
				case strings.HasPrefix(a, "grpc="):
					w.Header().Set("Content-Type", "application/grpc")
					w.Header().Set("Grpc-Status", a[5:])
				default:
					n, _ := strconv.Atoi(a)
					w.WriteHeader(n)
				}
			}
			io.WriteString(w, strconv.Itoa(i))
		})}
		go server.Serve(ln)
		t.Cleanup(func() { server.Close() })
		ports = append(ports, ln.Addr().(*net.TCPAddr).Port)
	}
	return ports
}

// balanced makes a cluster of endpoints at ports.
func balanced(name string, ports []int, fields object) object {
	var endpoints list
	for _, p := range ports {
		endpoints = append(endpoints, object{"endpoint": object{"address": address(p)}})
	}
	c := object{"name": name, "type": "STATIC", "connect_timeout": "1s",
		"load_assignment": object{"cluster_name": name, "endpoints": list{object{"lb_endpoints": endpoints}}}}
	for k, v := range fields {
		c[k] = v
	}
	return c
}

// counted gives the cluster's counters and gauges that are above 0 and whose name begins
// so, as a program's Prometheus text has them.
func counted(t *testing.T, admin int, cluster, prefix string) string {
	t.Helper()
	a, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/stats/prometheus", admin))
	if err != nil {
		t.Fatal(err)
	}
	defer a.Body.Close()
	text, err := io.ReadAll(a.Body)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if name, ok := strings.CutPrefix(line, "envoy_cluster_"+prefix); ok {
			if name, value, ok := strings.Cut(name, `{envoy_cluster_name="`+cluster+`"} `); ok && value != "0" {
				out = append(out, name+" "+value)
			}
		}
	}
	slices.Sort(out)
	return strings.Join(out, ", ")
}

// asked gives which servers answer n requests.
func asked(client *http.Client, port int, path, bad, answer string, n int) string {
	seen := map[string]bool{}
	for range n {
		r, _ := http.NewRequest("GET", fmt.Sprintf("http://127.0.0.1:%d%s", port, path), nil)
		r.Header.Set("X-Bad", bad)
		r.Header.Set("X-Bad-Answer", answer)
		if strings.HasPrefix(answer, "grpc=") {
			r.Header.Set("Content-Type", "application/grpc")
		}
		a, err := client.Do(r)
		if err != nil {
			return err.Error()
		}
		body, _ := io.ReadAll(a.Body)
		a.Body.Close()
		if len(body) > 1 {
			body = []byte("error")
		}
		seen[string(body)] = true
	}
	var all []string
	for s := range seen {
		all = append(all, s)
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

// both runs a script beside each of the programs on the same configuration, and compares
// what it says.
func both(t *testing.T, clusters, routes list, script func(port, admin int) []string) {
	t.Helper()
	envoy, usher := harness.Envoy(t), harness.Bin(t, "usher-proxy")
	at := harness.FreePorts(t, 2)
	file := writeWithAdmin(t, at[1], list{listener("l", at[0], object{"name": "r", "virtual_hosts": list{object{"name": "v", "domains": list{"*"}, "routes": routes}}})}, clusters)
	say := func(program string, args ...string) []string {
		defer harness.Serve(t, at, program, args...)()
		return script(at[0], at[1])
	}
	e := say(envoy, "-c", file, "--concurrency", "1", "--disable-hot-restart", "-l", "error")
	same(t, e, say(usher, "-c", file))
}

// same compares what the programs say, line by line.
func same(t *testing.T, e, u []string) {
	t.Helper()
	if len(e) != len(u) {
		t.Fatalf("Envoy: %q\nusher: %q", e, u)
	}
	for i := range e {
		if e[i] != u[i] {
			t.Errorf("Envoy: %s\nusher: %s", e[i], u[i])
		} else {
			t.Log(e[i])
		}
	}
}

func TestSameOutliers(t *testing.T) {
	ports := servers(t)
	closed := append(slices.Clone(ports[:4]), harness.FreePorts(t, 1)[0])
	type scenario struct {
		name        string
		bad, answer string
		ports       []int
		detection   object
	}
	all := []scenario{
		{"errors", "0", "500", ports, object{"max_ejection_percent": 20}},
		{"too-many", "0", "500", ports, object{}},
		{"one-always", "0", "500", ports, object{"always_eject_one_host": true}},
		{"two-merged", "01", "500", ports, object{"max_ejection_percent": 40}},
		{"two", "01", "500", ports, object{"max_ejection_percent": 40}},
		{"gateway", "1", "503", ports, object{"max_ejection_percent": 20, "consecutive_gateway_failure": 3, "enforcing_consecutive_gateway_failure": 100}},
		{"gateway-500", "1", "500", ports, object{"max_ejection_percent": 20, "consecutive_5xx": 0, "enforcing_consecutive_gateway_failure": 100}},
		{"gateway-watched", "1", "502", ports, object{"max_ejection_percent": 20, "consecutive_5xx": 0}},
		{"spared", "0", "500", ports, object{"max_ejection_percent": 20, "enforcing_consecutive_5xx": 0}},
		{"client-errors", "0", "404", ports, object{"max_ejection_percent": 20}},
		{"refused", "", "", closed, object{"max_ejection_percent": 20}},
		{"refused-apart", "", "", closed, object{"max_ejection_percent": 20, "split_external_local_origin_errors": true, "consecutive_local_origin_failure": 4}},
		{"errors-apart", "0", "500", ports, object{"max_ejection_percent": 20, "split_external_local_origin_errors": true}},
		{"late", "2", "hang", ports, object{"max_ejection_percent": 20}},
		{"late-apart", "2", "hang", ports, object{"max_ejection_percent": 20, "split_external_local_origin_errors": true, "consecutive_5xx": 1}},
		{"grpc", "3", "grpc=14", ports, object{"max_ejection_percent": 20}},
		{"grpc-denied", "3", "grpc=7", ports, object{"max_ejection_percent": 20}},
		{"degraded", "4", "degraded", ports, object{"detect_degraded_hosts": true}},
		{"degraded-unheard", "4", "degraded", ports, object{}},
	}
	var clusters, routes list
	for _, s := range all {
		s.detection["interval"] = "100s"
		window := "0s"
		if s.name == "two-merged" {
			window = "1000s"
		}
		clusters = append(clusters, balanced(s.name, s.ports, object{"outlier_detection": s.detection, "common_lb_config": object{"update_merge_window": window}}))
		routes = append(routes, object{"match": object{"path": "/" + s.name}, "route": object{"cluster": s.name, "timeout": "0.05s"}})
	}
	both(t, clusters, routes, func(port, admin int) (out []string) {
		client := &http.Client{Transport: &http.Transport{}}
		defer client.CloseIdleConnections()
		for _, s := range all {
			asked(client, port, "/"+s.name, s.bad, s.answer, 50)
			who := asked(client, port, "/"+s.name, s.bad, s.answer, 50)
			if s.name == "two-merged" {
				who = fmt.Sprint(len(strings.Fields(who)), " servers") // either is the first
			}
			out = append(out, fmt.Sprintf("%s: %s answer (%s)", s.name, who, counted(t, admin, s.name, "outlier_detection_")))
		}
		return out
	})
}

// TestSameOutlierSweeps has what needs the time of a sweep: rates, and the way back.
func TestSameOutlierSweeps(t *testing.T) {
	ports := servers(t)
	type scenario struct {
		name        string
		bad, answer string
		until       string // who answers in the end
		detection   object
	}
	all := []scenario{
		{"rate", "0", "500", "1 2 3 4", object{"max_ejection_percent": 20, "consecutive_5xx": 0, "success_rate_request_volume": 10}},
		{"failures", "0", "500", "1 2 3 4", object{"max_ejection_percent": 20, "consecutive_5xx": 0, "enforcing_success_rate": 0, "enforcing_failure_percentage": 100, "failure_percentage_request_volume": 10}},
		{"back", "0", "500", "0 1 2 3 4", object{"max_ejection_percent": 20, "base_ejection_time": "1.5s"}},
		{"undegraded", "0", "degraded", "0 1 2 3 4", object{"detect_degraded_hosts": true, "base_ejection_time": "1.5s"}},
	}
	var clusters, routes list
	for _, s := range all {
		s.detection["interval"] = "0.2s"
		clusters = append(clusters, balanced(s.name, ports, object{"outlier_detection": s.detection}))
		routes = append(routes, object{"match": object{"path": "/" + s.name}, "route": object{"cluster": s.name}})
	}
	both(t, clusters, routes, func(port, admin int) (out []string) {
		client := &http.Client{Transport: &http.Transport{}}
		defer client.CloseIdleConnections()
		for _, s := range all {
			if strings.HasPrefix(s.until, "0") { // it is out first
				asked(client, port, "/"+s.name, s.bad, s.answer, 50)
				out = append(out, fmt.Sprintf("%s: first %s", s.name, asked(client, port, "/"+s.name, s.bad, s.answer, 25)))
				s.bad = ""
			}
			harness.Eventually(t, 10*time.Second, s.name, func() (bool, any) {
				got := asked(client, port, "/"+s.name, s.bad, s.answer, 100)
				return got == s.until, got
			})
			n := counted(t, admin, s.name, "outlier_detection_ejections_enforced_")
			out = append(out, fmt.Sprintf("%s: then %s (%s)", s.name, s.until, n))
		}
		return out
	})
}
