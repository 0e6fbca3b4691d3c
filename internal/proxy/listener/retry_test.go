package listener_test

import (
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
)

const retrying = `route_config: {virtual_hosts: [{name: v, domains: ["*"], routes: [{match: {prefix: /}, route: {cluster: up,
        retry_policy: {retry_on: 5xx, num_retries: 1, retry_back_off: {base_interval: 0.001s}, HOSTS}}}]}]}`

// TestPreviousHosts: with the predicate the second try never asks the endpoint that has
// failed; without it chance decides.
func TestPreviousHosts(t *testing.T) {
	answers := func(status int) netip.AddrPort {
		return netip.MustParseAddrPort(backend(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))
	}
	good, bad := answers(200), answers(503)
	cluster := fmt.Sprintf(`{name: up, type: STATIC, lb_policy: RANDOM, load_assignment: {cluster_name: up, endpoints: [{lb_endpoints: [
{endpoint: {address: {socket_address: {address: %s, port_value: %d}}}}, {endpoint: {address: {socket_address: {address: %s, port_value: %d}}}}]}]}}`,
		good.Addr(), good.Port(), bad.Addr(), bad.Port())
	for hosts, failures := range map[string]bool{
		"host_selection_retry_max_attempts: 30, retry_host_predicate: [{name: envoy.retry_host_predicates.previous_hosts}]":                                                                             false,
		"host_selection_retry_max_attempts: 30, retry_host_predicate: [{name: x, typed_config: {\"@type\": type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate}}]": false,
		"host_selection_retry_max_attempts: 30": true,
	} {
		p := newProxy(t, nil)
		p.cluster(cluster)
		p.start("name: plain\naddress: {socket_address: {address: 127.0.0.1, port_value: 0}}\nfilter_chains:\n- filters:\n" +
			indentKeep(manager(strings.Replace(retrying, "HOSTS", hosts, 1), "")))
		c, failed := client(t), 0
		for range 100 {
			rs, err := c.Get("http://" + p.addr + "/")
			if err != nil {
				t.Fatal(err)
			}
			io.Copy(io.Discard, rs.Body)
			rs.Body.Close()
			if rs.StatusCode != 200 {
				failed++
			}
		}
		if (failed > 0) != failures {
			t.Errorf("%s: %d of 100 failed", hosts, failed)
		}
	}
}

// TestBreakers: what a cluster's bounds let go, of retries and of requests that wait.
func TestBreakers(t *testing.T) {
	var asked atomic.Int64
	up := backend(t, func(w http.ResponseWriter, _ *http.Request) { asked.Add(1); w.WriteHeader(503) })
	for _, tt := range []struct {
		thresholds string
		asked      int64
	}{
		{"{}", 2},
		{"{max_retries: 1}", 2},
		{"{max_retries: 0}", 1},
		{"{max_pending_requests: 0}", 0},
		{"{max_pending_requests: 1, max_requests: 1, max_connections: 1}", 2},
		{"{priority: HIGH, max_retries: 0}", 2},
	} {
		p := newProxy(t, nil)
		p.cluster(staticCluster("up", up, "circuit_breakers: {thresholds: ["+tt.thresholds+"]}"))
		p.start("name: plain\naddress: {socket_address: {address: 127.0.0.1, port_value: 0}}\nfilter_chains:\n- filters:\n" +
			indentKeep(manager(strings.Replace(retrying, ", HOSTS", "", 1), "")))
		asked.Store(0)
		c := client(t)
		for range 2 { // of one connection: what is counted is counted down before the next
			rs, err := c.Get("http://" + p.addr + "/")
			if err != nil {
				t.Fatal(err)
			}
			io.Copy(io.Discard, rs.Body)
			rs.Body.Close()
			if rs.StatusCode != 503 {
				t.Errorf("%s: %s", tt.thresholds, rs.Status)
			}
		}
		if n := asked.Load(); n != 2*tt.asked {
			t.Errorf("%s: the server was asked %d times", tt.thresholds, n)
		}
	}
}
