package upstream

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"

	"github.com/usher-mesh/usher/internal/proxy/proxytest"
)

// TestPriorities: requests of one priority neither wait for those of the other, nor use
// their connections, and these end with the host.
func TestPriorities(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	c := cluster(t, fmt.Sprintf(`{name: c, type: STATIC, circuit_breakers: {thresholds: [{max_connections: 1, max_requests: 3}, {priority: HIGH, max_connections: 1, max_requests: 1}]},
  load_assignment: {cluster_name: c, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: %d}}}}]}]}}`, ln.Addr().(*net.TCPAddr).Port))
	h := c.Hosts()[0]
	get := func(of Priority) (*Conn, error) {
		return h.Get(t.Context(), time.Time{}, false, From{Major: 1, Priority: of})
	}
	first, err := get(Default)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := get(Default); err != ErrBusy {
		t.Errorf("beyond the connections of its own: %v", err)
	}
	high, err := get(High)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := get(High); err != ErrOverflow {
		t.Errorf("beyond the requests of its own: %v", err)
	}
	first.Put(true)
	high.Put(true)
	for of, want := range []*Conn{first, high} {
		if got, err := get(Priority(of)); err != nil || got != want {
			t.Errorf("priority %d has another connection, %v", of, err)
		} else {
			got.Put(true)
		}
	}
	h.closeIdle()
	for of := range c.breakers {
		if n := c.breakers[of].conns.Load(); n != 0 {
			t.Errorf("priority %d: %d idle connections are left", of, n)
		}
	}
	c.Close()
	for of := range c.breakers {
		if b := &c.breakers[of]; b.active.Load() != 0 || b.conns.Load() != 0 {
			t.Errorf("priority %d: %d requests, %d connections", of, b.active.Load(), b.conns.Load())
		}
	}
	late := &Host{cluster: c}
	late.drain()
	if p, _ := late.hold(From{Priority: High}); !p.draining {
		t.Error("a host that is gone keeps connections")
	}
}

func TestRetryBudget(t *testing.T) {
	for _, tt := range []struct {
		budget          string
		active, pending int64
		want            int
	}{
		{"{}", 0, 0, 3},
		{"{}", 10, 10, 4},
		{"{budget_percent: {value: 50}}", 9, 0, 4},
		{"{budget_percent: {value: 0}, min_retry_concurrency: 0}", 100, 0, 0},
		{"{budget_percent: {value: 10}, min_retry_concurrency: 7}", 20, 0, 7},
	} {
		c := cluster(t, "{name: c, type: STATIC, circuit_breakers: {thresholds: [{max_retries: 1, retry_budget: "+tt.budget+"}]}}")
		c.breakers[Default].active.Store(tt.active)
		c.breakers[Default].pending.Store(tt.pending)
		n := 0
		for n < 1000 && c.BeginRetry(Default) {
			n++
		}
		if n != tt.want {
			t.Errorf("%s, %d and %d under way: %d retries, want %d", tt.budget, tt.active, tt.pending, n, tt.want)
		}
	}
	m := new(clusterv3.Cluster)
	proxytest.Decode(t, "{name: c, circuit_breakers: {thresholds: [{retry_budget: {budget_percent: {value: 101}}}]}}", m)
	if _, err := Compile(m, Options{}); err == nil || err.Error() != "circuit_breakers.thresholds[0].retry_budget.budget_percent.value: must be from 0 to 100" {
		t.Error(err)
	}
}

func TestBreakers(t *testing.T) {
	for text, want := range map[string]string{
		"{priority: HIGH}":                           "cx_open 0, rq_pending_open 0, rq_open 0, rq_retry_open 0",
		"{max_requests: 3, track_remaining: true}":   "cx_open 0, remaining_cx 1020, rq_pending_open 0, remaining_pending 1023, rq_open 0, remaining_rq 1, rq_retry_open 0, remaining_retries 3",
		"{track_remaining: true}, {max_requests: 2}": "cx_open 0, remaining_cx 1020, rq_pending_open 0, remaining_pending 1023, rq_open 0, remaining_rq 1022, rq_retry_open 0, remaining_retries 3",
		"": "cx_open 0, rq_pending_open 0, rq_open 0, rq_retry_open 0",
		"{max_requests: 2, max_connections: 5, max_pending_requests: 1, max_retries: 3}":                          "cx_open 0, rq_pending_open 1, rq_open 1, rq_retry_open 0",
		"{max_requests: 9, max_connections: 5, max_pending_requests: 4, max_retries: 3, track_remaining: true}":   "cx_open 0, remaining_cx 1, rq_pending_open 0, remaining_pending 3, rq_open 0, remaining_rq 7, rq_retry_open 0, remaining_retries 3",
		"{max_requests: 9, max_connections: 5, max_pending_requests: 4, retry_budget: {}, track_remaining: true}": "cx_open 0, remaining_cx 1, rq_pending_open 0, remaining_pending 3, rq_open 0, remaining_rq 7, rq_retry_open 0",
	} {
		for of, name := range []string{"default", "high"} {
			if of == int(High) {
				text = strings.NewReplacer("priority: HIGH", "", "{}", "{}", "{m", "{priority: HIGH, m", "{t", "{priority: HIGH, t").Replace(text)
			}
			c := cluster(t, "{name: c, type: STATIC, circuit_breakers: {thresholds: ["+text+"]}}")
			c.breakers[of].conns.Store(4)
			c.breakers[of].pending.Store(1)
			c.breakers[of].active.Store(2)
			var all []string
			for _, v := range c.breakerGauges() {
				if gauge, ok := strings.CutPrefix(v.Name.Name, "circuit_breakers."+name+"."); ok {
					all = append(all, fmt.Sprint(gauge, " ", v.Value))
				} else if !strings.HasSuffix(v.Name.Name, "_open") || v.Value != 0 {
					t.Errorf("%s: %s is %d", text, v.Name.Name, v.Value)
				}
			}
			if got := strings.Join(all, ", "); got != want {
				t.Errorf("%s: %s\nwant %s", text, got, want)
			}
		}
	}
}

// TestNamedAreBounded: where requests name their destination they are as many as in Envoy,
// unless configured, since they may come again.
func TestNamedAreBounded(t *testing.T) {
	const forward = `cluster_type: {name: f, typed_config: {"@type": type.googleapis.com/envoy.extensions.clusters.dynamic_forward_proxy.v3.ClusterConfig, dns_cache_config: {name: names}}}, lb_policy: CLUSTER_PROVIDED`
	for text, want := range map[string][4]int64{
		original: {1024, 1024, 1024, 3},
		forward:  {1024, 1024, 1024, 3},
		original + ", circuit_breakers: {thresholds: [{max_requests: 7000, max_connections: 7000, max_pending_requests: 7000, max_retries: 7000}]}": {7000, 7000, 7000, 7000},
		"type: STATIC": {unbounded, unbounded, unbounded, unbounded},
	} {
		c := cluster(t, "{name: c, "+text+"}")
		if got := [4]int64{c.breakers[Default].maxConns, c.breakers[Default].maxRequests, c.breakers[Default].maxPending, c.breakers[Default].maxRetries}; got != want {
			t.Errorf("%s: %d, want %d", text, got, want)
		}
	}
}

// TestQueuesAreBounded: who may wait for connections is bounded where these are.
func TestQueuesAreBounded(t *testing.T) {
	for text, want := range map[string]int64{
		"": unbounded,
		"per_host_thresholds: [{priority: HIGH, max_connections: 1}]":                          unbounded,
		"per_host_thresholds: [{max_connections: 1}]":                                          defaultBound,
		"per_host_thresholds: [{max_connections: 1}], thresholds: [{max_pending_requests: 7}]": 7,
	} {
		if c := cluster(t, "{name: c, type: STATIC, circuit_breakers: {"+text+"}}"); c.breakers[Default].maxPending != want {
			t.Errorf("%s: %d may wait, want %d", text, c.breakers[Default].maxPending, want)
		}
	}
}
