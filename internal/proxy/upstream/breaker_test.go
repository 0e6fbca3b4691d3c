package upstream

import (
	"fmt"
	"strings"
	"testing"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"

	"github.com/usher-mesh/usher/internal/proxy/proxytest"
)

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
		c.active.Store(tt.active)
		c.pending.Store(tt.pending)
		n := 0
		for n < 1000 && c.BeginRetry() {
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
		c := cluster(t, "{name: c, type: STATIC, circuit_breakers: {thresholds: ["+text+"]}}")
		c.conns.Store(4)
		c.pending.Store(1)
		c.active.Store(2)
		var all []string
		for _, v := range c.breakerGauges() {
			all = append(all, fmt.Sprint(strings.TrimPrefix(v.Name.Name, "circuit_breakers.default."), " ", v.Value))
		}
		if got := strings.Join(all, ", "); got != want {
			t.Errorf("%s: %s\nwant %s", text, got, want)
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
		if got := [4]int64{c.maxConns, c.maxRequests, c.maxPending, c.maxRetries}; got != want {
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
		if c := cluster(t, "{name: c, type: STATIC, circuit_breakers: {"+text+"}}"); c.maxPending != want {
			t.Errorf("%s: %d may wait, want %d", text, c.maxPending, want)
		}
	}
}
