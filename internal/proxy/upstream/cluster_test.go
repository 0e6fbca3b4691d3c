package upstream

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	"go.uber.org/goleak"

	"github.com/usher-mesh/usher/internal/proxy/proxytest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func cluster(t testing.TB, text string) *Cluster {
	t.Helper()
	m := new(clusterv3.Cluster)
	proxytest.Decode(t, text, m)
	c, err := Compile(m, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// endpoints writes an assignment: "port", "port*weight", "port!HEALTH", priorities
// divided by "|".
func endpoints(spec string) string {
	var b strings.Builder
	b.WriteString("cluster_name: c\nendpoints:\n")
	for p, list := range strings.Split(spec, "|") {
		fmt.Fprintf(&b, "- priority: %d\n  lb_endpoints:\n", p)
		for _, e := range strings.Fields(list) {
			e, health, _ := strings.Cut(e, "!")
			port, weight, _ := strings.Cut(e, "*")
			fmt.Fprintf(&b, "  - endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: %s}}}\n", port)
			if health != "" {
				fmt.Fprintf(&b, "    health_status: %s\n", health)
			}
			if weight != "" {
				fmt.Fprintf(&b, "    load_balancing_weight: %s\n", weight)
			}
		}
	}
	return b.String()
}

func set(t testing.TB, c *Cluster, spec string) {
	t.Helper()
	m := new(endpointv3.ClusterLoadAssignment)
	proxytest.Decode(t, endpoints(spec), m)
	if err := c.SetEndpoints(m); err != nil {
		t.Fatal(err)
	}
}

func TestBalance(t *testing.T) {
	for _, tt := range []struct {
		name, spec string
		want       map[uint16]int // picks of 60
	}{
		{"round robin", "1 2 3", map[uint16]int{1: 20, 2: 20, 3: 20}},
		{"weights", "1*30 2*10 3*20", map[uint16]int{1: 30, 2: 10, 3: 20}},
		{"large weights", "1*400000000 2*200000000", map[uint16]int{1: 40, 2: 20}},
		{"unhealthy", "1 2 3!UNHEALTHY 4!DRAINING", map[uint16]int{1: 30, 2: 30}},
		{"panic", "1 2!UNHEALTHY 3!UNHEALTHY 4!DRAINING", map[uint16]int{1: 15, 2: 15, 3: 15, 4: 15}},
		{"draining does not count", "1 2!UNHEALTHY 3!DRAINING", map[uint16]int{1: 60}},
		{"degraded only if need be", "1!DEGRADED 2 3 4", map[uint16]int{2: 20, 3: 20, 4: 20}},
		{"degraded", "1!DEGRADED 2!DRAINING", map[uint16]int{1: 60}},
		{"priority", "1|2", map[uint16]int{1: 60}},
		{"next priority", "1!UNHEALTHY|2", map[uint16]int{2: 60}},
		{"all unhealthy", "1!UNHEALTHY", map[uint16]int{1: 60}},
		{"none", "", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := cluster(t, "{name: c, type: EDS, eds_cluster_config: {eds_config: {ads: {}}}}")
			set(t, c, tt.spec)
			got := map[uint16]int{}
			for range 60 {
				h, err := c.Pick(context.Background(), Ask{})
				if err != nil {
					break
				}
				got[h.Addr.Port()]++
			}
			if fmt.Sprint(got) != fmt.Sprint(tt.want) && len(got)+len(tt.want) > 0 {
				t.Errorf("%v, want %v", got, tt.want)
			}
		})
	}
}

// server accepts connections and holds them until they are closed.
func server(t testing.TB) (port string) {
	addr := proxytest.Serve(t, func(_ int, c net.Conn) { io.Copy(io.Discard, c) })
	_, port, _ = net.SplitHostPort(addr)
	return port
}

// TestEndpointChange holds that connections to an endpoint that stays are kept,
// others are drained, and what is in use ends undisturbed.
func TestEndpointChange(t *testing.T) {
	a, b := server(t), server(t)
	c := cluster(t, "{name: c, type: EDS, eds_cluster_config: {eds_config: {ads: {}}}}")
	set(t, c, a)
	get := func(fresh bool) *Conn {
		t.Helper()
		h, err := c.Pick(context.Background(), Ask{})
		if err != nil {
			t.Fatal(err)
		}
		conn, err := h.Get(context.Background(), time.Time{}, fresh, From{Major: 1})
		if err != nil {
			t.Fatal(err)
		}
		return conn
	}
	closed := func(c *Conn) bool {
		_, err := c.Conn.Write([]byte("x"))
		return err != nil
	}
	first := get(false)
	first.Put(true)
	if again := get(false); again != first || !again.Reused {
		t.Fatal("the idle connection is not used again")
	}
	first.Put(true)
	set(t, c, a+" "+b)
	if again := get(true); again == first {
		t.Fatal("not fresh")
	} else {
		again.Put(false)
	}
	if closed(first) {
		t.Error("the connection to an endpoint that stays is closed")
	}
	inUse := first.host.takeIdle(&first.host.pool)
	c.breakers[Default].active.Add(1)
	first.host.active.Add(1)
	set(t, c, b)
	if closed(inUse) {
		t.Error("a connection in use is closed")
	}
	inUse.Put(true)
	if !closed(inUse) {
		t.Error("a connection to an endpoint that is gone stays open")
	}
	next := get(false)
	next.Put(true)
	c.Recycle()
	if !closed(next) {
		t.Error("a connection survives Recycle")
	}
	if n := c.breakers[Default].conns.Load(); n != 0 {
		t.Errorf("%d connections counted, none is open", n)
	}
}

const forwardProxyType = `"@type": type.googleapis.com/envoy.extensions.clusters.dynamic_forward_proxy.v3.ClusterConfig`

func TestRefused(t *testing.T) {
	const provided = "lb_policy: CLUSTER_PROVIDED goes with ORIGINAL_DST and dynamic_forward_proxy, and these with nothing else"
	for _, tt := range []struct{ text, want string }{
		{"{type: STATIC}", "name: empty"},
		{"{name: c, type: ORIGINAL_DST}", provided},
		{"{name: c, lb_policy: CLUSTER_PROVIDED}", provided},
		{"{name: c, type: STRICT_DNS, lb_policy: CLUSTER_PROVIDED}", provided},
		{"{name: c, cluster_type: {name: x, typed_config: {" + forwardProxyType + ", dns_cache_config: {name: c}}}}", provided},
		{`{name: c, lb_policy: CLUSTER_PROVIDED, cluster_type: {name: x, typed_config: {` + forwardProxyType + `, dns_cache_config: {name: c}}}, load_balancing_policy: {policies: [{typed_extension_config: {name: r, typed_config: {"@type": type.googleapis.com/envoy.extensions.load_balancing_policies.round_robin.v3.RoundRobin}}}]}}`, provided},
		{"{name: c, type: ORIGINAL_DST, lb_policy: CLUSTER_PROVIDED, load_assignment: {cluster_name: c}}", "load_assignment: of type ORIGINAL_DST: not supported"},
		{"{name: c, type: ORIGINAL_DST, lb_policy: CLUSTER_PROVIDED, outlier_detection: {}}", "outlier_detection: of type ORIGINAL_DST: not supported"},
		{"{name: c, type: ORIGINAL_DST, lb_policy: CLUSTER_PROVIDED, cleanup_interval: 0s}", "cleanup_interval: must be above 0"},
		{"{name: c, type: ORIGINAL_DST, lb_policy: CLUSTER_PROVIDED, original_dst_lb_config: {http_header_name: x}}", "original_dst_lb_config.http_header_name: without use_http_header"},
		{"{name: c, type: ORIGINAL_DST, lb_policy: CLUSTER_PROVIDED, original_dst_lb_config: {use_http_header: true, http_header_name: ':path'}}",
			`original_dst_lb_config.http_header_name: ":path" is no name of a header`},
		{"{name: c, type: ORIGINAL_DST, lb_policy: CLUSTER_PROVIDED, original_dst_lb_config: {upstream_port_override: 65536}}", "original_dst_lb_config.upstream_port_override: 65536 is not a port"},
		{"{name: c, type: ORIGINAL_DST, lb_policy: CLUSTER_PROVIDED, original_dst_lb_config: {metadata_key: {key: k}}}", "original_dst_lb_config.metadata_key.path: empty"},
		{"{name: c, original_dst_lb_config: {}}", "original_dst_lb_config: of another type than ORIGINAL_DST"},
		{"{name: c, cleanup_interval: 5s}", "cleanup_interval: of another type than ORIGINAL_DST"},
		{"{name: c, lb_policy: LOAD_BALANCING_POLICY_CONFIG}", "lb_policy: LOAD_BALANCING_POLICY_CONFIG: not supported"},
		{"{name: c, round_robin_lb_config: {slow_start_config: {slow_start_window: 1s}}}", "round_robin_lb_config.slow_start_config: not supported"},
		{"{name: c, lb_policy: LEAST_REQUEST, least_request_lb_config: {choice_count: 1}}", "least_request_lb_config.choice_count: must be at least 2"},
		{"{name: c, lb_policy: LEAST_REQUEST, least_request_lb_config: {active_request_bias: {default_value: -1, runtime_key: x}}}", "least_request_lb_config.active_request_bias.default_value: must not be negative"},
		{"{name: c, lb_policy: RING_HASH, ring_hash_lb_config: {minimum_ring_size: 9, maximum_ring_size: 8}}", "ring_hash_lb_config.minimum_ring_size: above maximum_ring_size"},
		{"{name: c, lb_policy: RING_HASH, ring_hash_lb_config: {minimum_ring_size: 8388609}}", "ring_hash_lb_config.minimum_ring_size: must be from 1 to 8388608"},
		{"{name: c, lb_policy: MAGLEV, maglev_lb_config: {table_size: 4}}", "maglev_lb_config.table_size: must be a prime up to 5000011"},
		{"{name: c, common_lb_config: {healthy_panic_threshold: {value: 101}}}", "common_lb_config.healthy_panic_threshold.value: must be from 0 to 100"},
		{"{name: c, common_lb_config: {consistent_hashing_lb_config: {hash_balance_factor: 120}}}", "common_lb_config.consistent_hashing_lb_config.hash_balance_factor: not supported"},
		{"{name: c, common_lb_config: {locality_weighted_lb_config: {}}, load_balancing_policy: {policies: []}}", "common_lb_config.locality_weighted_lb_config: not supported"},
		{"{name: c, load_balancing_policy: {policies: []}}", "load_balancing_policy.policies: none is supported: not supported"},
		{`{name: c, load_balancing_policy: {policies: [{typed_extension_config: {name: m, typed_config: {"@type": type.googleapis.com/envoy.extensions.load_balancing_policies.maglev.v3.Maglev, table_size: 9}}}]}}`,
			"load_balancing_policy.policies[0].typed_extension_config.typed_config.table_size: must be a prime up to 5000011"},
		{"{name: c, load_assignment: {cluster_name: c, endpoints: [{priority: 129}]}}", "load_assignment.endpoints[0].priority: above 128"},

		{`{name: c, typed_extension_protocol_options: {envoy.extensions.upstreams.http.v3.HttpProtocolOptions: {"@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions, auto_config: {}}}}`,
			"typed_extension_protocol_options[envoy.extensions.upstreams.http.v3.HttpProtocolOptions].auto_config: needs TLS, whose ALPN chooses the protocol"},
		{`{name: c, typed_extension_protocol_options: {envoy.extensions.upstreams.http.v3.HttpProtocolOptions: {"@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions, explicit_http_config: {http2_protocol_options: {allow_metadata: true}}}}}`,
			"typed_extension_protocol_options[envoy.extensions.upstreams.http.v3.HttpProtocolOptions].explicit_http_config.http2_protocol_options.allow_metadata: not supported"},
		{"{name: c, http2_protocol_options: {}}", "http2_protocol_options: not supported"},
		{"{name: c, connect_timeout: 0s}", "connect_timeout: must be above 0"},
		{"{name: c, lb_policy: CLUSTER_PROVIDED, outlier_detection: {}, cluster_type: {name: x, typed_config: {" + forwardProxyType + ", dns_cache_config: {name: c}}}}",
			"outlier_detection: of a dynamic_forward_proxy: not supported"},
		{"{name: c, cluster_type: {name: x}}", `cluster_type.name: "x": not supported`},
		{"{name: c, cluster_type: {name: x, typed_config: {" + forwardProxyType + "}}}", "cluster_type.typed_config.dns_cache_config: missing"},
		{"{name: c, cluster_type: {name: x, typed_config: {" + forwardProxyType + ", dns_cache_config: {name: c, host_ttl: 5s}}}}",
			"cluster_type.typed_config.dns_cache_config.host_ttl: not supported"},
		{"{name: c, cluster_type: {name: x, typed_config: {" + forwardProxyType + ", dns_cache_config: {name: c, max_hosts: 0}}}}",
			"cluster_type.typed_config.dns_cache_config.max_hosts: must be above 0"},
		{"{name: c, load_assignment: {cluster_name: c, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: a.b, port_value: 1}}}}]}]}}",
			"load_assignment.endpoints[0].lb_endpoints[0].endpoint.address.socket_address.address: not an IP address"},
		{"{name: c, transport_socket: {name: tls}}", `transport_socket.typed_config: missing for "tls"`},
	} {
		m := new(clusterv3.Cluster)
		proxytest.Decode(t, tt.text, m)
		if _, err := Compile(m, Options{}); err == nil || err.Error() != tt.want {
			t.Errorf("%s:\n%v, want\n%s", tt.text, err, tt.want)
		}
	}
}
