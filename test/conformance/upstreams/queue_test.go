package upstreams

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	. "github.com/usher-mesh/usher/test/conformance/beside"
	"github.com/usher-mesh/usher/test/harness"
)

// TestSameQueues compares what becomes of requests that find all connections in use that
// their cluster, or its hosts, may have.
func TestSameQueues(t *testing.T) {
	cases := []struct {
		name     string
		http2    bool
		hosts    int
		breakers string
		waits    [3]int // requests that wait once so many were sent
	}{
		{"one", false, 1, `{thresholds: [{max_connections: 1}]}`, [3]int{0, 1, 2}},
		{"hosts", false, 2, `{thresholds: [{max_connections: 1}]}`, [3]int{0, 0, 1}},
		{"zero", false, 1, `{thresholds: [{max_connections: 0}]}`, [3]int{0, 1, 2}},
		{"bounded", false, 1, `{thresholds: [{max_connections: 1, max_pending_requests: 1}]}`, [3]int{0, 1, 1}},
		{"streams", true, 1, `{thresholds: [{max_connections: 1}]}`, [3]int{0, 1, 2}},
		{"each", false, 2, `{per_host_thresholds: [{max_connections: 1}]}`, [3]int{0, 0, 1}},
		{"late", false, 1, `{thresholds: [{max_connections: 1}]}`, [3]int{0, 1, 2}},
	}
	say := func(p Program) (out []string) {
		release := make(chan bool)
		handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			select {
			case <-release:
			case <-r.Context().Done():
			}
		})
		at := harness.FreePorts(t, 2)
		var clusters, routes List
		for _, x := range cases {
			c := Cluster(x.name, Serve(t, handler, x.http2), x.http2)
			for range x.hosts - 1 {
				l := c["load_assignment"].(Object)["endpoints"].(List)[0].(Object)
				l["lb_endpoints"] = append(l["lb_endpoints"].(List), Object{"endpoint": Object{"address": Address(Serve(t, handler, x.http2))}})
			}
			Read(t, "{circuit_breakers: "+x.breakers+"}", &c)
			if x.http2 {
				Read(t, `{typed_extension_protocol_options: {envoy.extensions.upstreams.http.v3.HttpProtocolOptions: {"@type": `+Types+`upstreams.http.v3.HttpProtocolOptions, explicit_http_config: {http2_protocol_options: {max_concurrent_streams: 1}}}}}`, &c)
			}
			clusters = append(clusters, c)
			timeout := "60s"
			if x.name == "late" {
				timeout = "1s"
			}
			routes = append(routes, Object{"match": Object{"path": "/" + x.name}, "route": Object{"cluster": x.name, "timeout": timeout}})
		}
		l := Listener("l", at[0], Object{"route_config": Object{"virtual_hosts": List{Object{"name": "v", "domains": List{"*"}, "routes": routes}}}})
		defer Start(t, at, Bootstrap(at[1], List{l}, clusters), p)()
		for _, x := range cases {
			answers := make(chan string, 3)
			tell := func(what string) { out = append(out, x.name+": "+what) }
			for i, waits := range x.waits {
				go func() {
					rs, b, err := (&Ask{Path: "/" + x.name}).Send(at[0])
					if err != nil {
						answers <- err.Error()
						return
					}
					answers <- fmt.Sprintf("%d %s %s", rs.StatusCode, b, rs.Header["X-Envoy-Overloaded"])
				}()
				if i == 2 && x.name == "bounded" {
					tell("refused: " + <-answers)
				}
				if x.name == "late" {
					continue
				}
				want := fmt.Sprintf("upstream_rq_pending_active: %d", waits)
				harness.Eventually(t, 10*time.Second, x.name+": "+want, func() (bool, any) {
					got := queued(t, at[1], x.name)
					return slices.Contains(got, want) && slices.Contains(got, fmt.Sprintf("upstream_rq_pending_total: %d", min(i+1, waits+x.hosts))), got
				})
			}
			tell(strings.Join(queued(t, at[1], x.name), ", "))
			for range 3 {
				switch x.name {
				case "bounded", "late":
				default:
					release <- true
					tell(<-answers)
				}
			}
			switch x.name {
			case "bounded":
				release <- true
				release <- true
				tell(<-answers + <-answers)
			case "late":
				tell(<-answers + <-answers + <-answers)
				continue
			}
			tell(strings.Join(queued(t, at[1], x.name), ", "))
		}
		return out
	}
	both := Programs(t)
	e, u := say(both[0]), say(both[1])
	for i := range e {
		t.Log(e[i])
		if strings.HasPrefix(e[i], "late: upstream") { // as soon as they come
			continue
		}
		if e[i] != u[i] {
			t.Errorf("Envoy %s\nusher %s", e[i], u[i])
		}
	}
}

// TestSameQueueOfEachVersion: where endpoints are spoken to as clients speak, requests of one
// version of HTTP do not wait for connections of the other.
func TestSameQueueOfEachVersion(t *testing.T) {
	say := func(p Program) (out []string) {
		up := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Proto) }))
		up.Config.Protocols = new(http.Protocols)
		up.Config.Protocols.SetHTTP1(true)
		up.Config.Protocols.SetUnencryptedHTTP2(true)
		up.Start()
		defer up.Close()
		c := Cluster("up", up.Listener.Addr().(*net.TCPAddr).Port, false)
		Read(t, `{circuit_breakers: {thresholds: [{max_connections: 1}]}, typed_extension_protocol_options: {envoy.extensions.upstreams.http.v3.HttpProtocolOptions: {"@type": `+Types+`upstreams.http.v3.HttpProtocolOptions, use_downstream_protocol_config: {http2_protocol_options: {}}}}}`, &c)
		at := harness.FreePorts(t, 2)
		var routes List
		Read(t, "[{match: {prefix: /}, route: {cluster: up, timeout: 5s}}]", &routes)
		l := Listener("l", at[0], Object{"route_config": Object{"virtual_hosts": List{Object{"name": "v", "domains": List{"*"}, "routes": routes}}}})
		defer Start(t, at, Bootstrap(at[1], List{l}, List{c}), p)()
		for _, http2 := range []bool{true, false, true, false} {
			rs, b, err := (&Ask{HTTP2: http2}).Send(at[0])
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, fmt.Sprintf("%d %s %s", rs.StatusCode, b, strings.Join(queued(t, at[1], "up"), ", ")))
		}
		return out
	}
	both := Programs(t)
	e, u := say(both[0]), say(both[1])
	for i := range e {
		t.Log(e[i])
		if e[i] != u[i] {
			t.Errorf("Envoy %s\nusher %s", e[i], u[i])
		}
	}
}

// TestSameTimeWhileConnecting compares what becomes of a request whose time is over before
// there is a connection, and of one for which connecting takes too long.
func TestSameTimeWhileConnecting(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0") // connections to it get no further than TCP
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	say := func(p Program) (out []string) {
		at := harness.FreePorts(t, 2)
		var clusters, routes List
		for name, connect := range map[string]string{"total": "30s", "connect": "0.2s"} {
			c := Cluster(name, silent.Addr().(*net.TCPAddr).Port, false)
			Read(t, "{connect_timeout: "+connect+`, transport_socket: {name: tls, typed_config: {"@type": `+Types+"transport_sockets.tls.v3.UpstreamTlsContext}}}", &c)
			clusters = append(clusters, c)
		}
		Read(t, "[{match: {path: /total}, route: {cluster: total, timeout: 0.2s, retry_policy: {retry_on: connect-failure}}}, {match: {path: /connect}, route: {cluster: connect, timeout: 30s}}]", &routes)
		l := Listener("l", at[0], Object{"route_config": Object{"virtual_hosts": List{Object{"name": "v", "domains": List{"*"}, "routes": routes}}}})
		defer Start(t, at, Bootstrap(at[1], List{l}, clusters), p)()
		for _, name := range []string{"total", "connect"} {
			rs, b, err := (&Ask{Path: "/" + name}).Send(at[0])
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, fmt.Sprintf("%s: %d %s", name, rs.StatusCode, b))
			for _, counter := range []string{"upstream_rq_timeout", "upstream_rq_retry", "upstream_rq_total", "upstream_rq_pending_failure_eject", "upstream_rq_cancelled"} {
				_, page := Page(t, at[1], fmt.Sprintf("/stats?filter=^cluster.%s.%s$", name, counter))
				out = append(out, page)
			}
		}
		return out
	}
	both := Programs(t)
	e, u := say(both[0]), say(both[1])
	for i := range e {
		t.Log(e[i])
		if e[i] != u[i] {
			t.Errorf("Envoy %s\nusher %s", e[i], u[i])
		}
	}
}

// TestWhoLeavesWaitsNoMore: a client that is gone makes room for others that wait.
func TestWhoLeavesWaitsNoMore(t *testing.T) {
	for _, p := range Programs(t) {
		release := make(chan bool)
		up := Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { <-release }), false)
		c := Cluster("up", up, false)
		Read(t, "{circuit_breakers: {thresholds: [{max_connections: 1, max_pending_requests: 1}]}}", &c)
		at := harness.FreePorts(t, 2)
		var routes List
		Read(t, "[{match: {prefix: /}, route: {cluster: up, timeout: 0s}}]", &routes)
		l := Listener("l", at[0], Object{"route_config": Object{"virtual_hosts": List{Object{"name": "v", "domains": List{"*"}, "routes": routes}}}})
		stop := Start(t, at, Bootstrap(at[1], List{l}, List{c}), p)
		first := make(chan int, 1)
		send := func(to chan int) {
			rs, _, err := (&Ask{}).Send(at[0])
			if err != nil {
				t.Error(err)
				to <- 0
				return
			}
			to <- rs.StatusCode
		}
		pending := func(active, total int) {
			t.Helper()
			harness.Eventually(t, 10*time.Second, fmt.Sprintf("%d wait", active), func() (bool, any) {
				got := queued(t, at[1], "up")
				return slices.Contains(got, fmt.Sprint("upstream_rq_pending_active: ", active)) && slices.Contains(got, fmt.Sprint("upstream_rq_pending_total: ", total)), got
			})
		}
		go send(first)
		pending(0, 1)
		gone, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", at[0]))
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(gone, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		pending(1, 2)
		gone.Close()
		pending(0, 2)
		last := make(chan int, 1)
		go send(last)
		pending(1, 3)
		release <- true
		release <- true
		if a, b := <-first, <-last; a != 200 || b != 200 {
			t.Errorf("Envoy %v: %d and %d", p.Envoy, a, b)
		}
		stop()
	}
}

// TestWhoWaitsIsIdle: who waits for a connection without a timeout does not for longer than
// its idle time.
func TestWhoWaitsIsIdle(t *testing.T) {
	for _, p := range Programs(t) {
		release := make(chan bool)
		c := Cluster("up", Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { <-release }), false), false)
		Read(t, "{circuit_breakers: {thresholds: [{max_connections: 1}]}}", &c)
		at := harness.FreePorts(t, 2)
		var routes List
		Read(t, "[{match: {path: /hold}, route: {cluster: up, timeout: 0s, idle_timeout: 0s}}, {match: {prefix: /}, route: {cluster: up, timeout: 0s, idle_timeout: 0.5s}}]", &routes)
		l := Listener("l", at[0], Object{"route_config": Object{"virtual_hosts": List{Object{"name": "v", "domains": List{"*"}, "routes": routes}}}})
		stop := Start(t, at, Bootstrap(at[1], List{l}, List{c}), p)
		send := func(path string) chan string {
			answer := make(chan string, 1)
			go func() {
				rs, b, err := (&Ask{Path: path}).Send(at[0])
				if err != nil {
					answer <- err.Error()
					return
				}
				answer <- fmt.Sprint(rs.StatusCode, " ", string(b))
			}()
			return answer
		}
		held := send("/hold")
		harness.Eventually(t, 10*time.Second, "the connection is in use", func() (bool, any) {
			got := queued(t, at[1], "up")
			return slices.Contains(got, "upstream_rq_pending_total: 1") && slices.Contains(got, "upstream_rq_pending_active: 0"), got
		})
		select {
		case got := <-send("/"):
			if got != "504 stream timeout" {
				t.Errorf("Envoy %v: %s", p.Envoy, got)
			}
		case <-time.After(10 * time.Second):
			t.Errorf("Envoy %v: it waits on", p.Envoy)
		}
		release <- true
		if got := <-held; got != "200 " {
			t.Errorf("Envoy %v: held: %s", p.Envoy, got)
		}
		stop()
	}
}

// queued gives the counters of connections and of who waits for them.
func queued(t *testing.T, admin int, cluster string) (out []string) {
	t.Helper()
	_, page := Page(t, admin, "/stats?filter=^cluster."+cluster+".upstream_")
	for line := range strings.Lines(page) {
		line = strings.TrimPrefix(strings.TrimSpace(line), "cluster."+cluster+".")
		name, _, _ := strings.Cut(line, ":")
		switch name {
		case "upstream_cx_overflow", "upstream_cx_total", "upstream_rq_pending_active", "upstream_rq_pending_total", "upstream_rq_pending_overflow", "upstream_rq_pending_failure_eject":
			out = append(out, line)
		}
	}
	slices.Sort(out)
	return out
}
