package upstream

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	caresv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/network/dns_resolver/cares/v3"

	"github.com/usher-mesh/usher/internal/proxy/proxytest"
	"github.com/usher-mesh/usher/test/harness"
)

// zone resolves names to what it has: addresses, nothing, or an error.
type zone struct {
	mu    sync.Mutex
	names map[string]any // a string of addresses, or an error
	asked int
}

func (z *zone) set(name string, to any) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.names[name] = to
}

func (z *zone) count() int {
	z.mu.Lock()
	defer z.mu.Unlock()
	return z.asked
}

func (z *zone) LookupNetIP(_ context.Context, _, name string) (out []netip.Addr, err error) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.asked++
	switch to := z.names[name].(type) {
	case string:
		for _, a := range strings.Fields(to) {
			out = append(out, netip.MustParseAddr(a))
		}
	case error:
		return nil, to
	default:
		return nil, &net.DNSError{IsNotFound: true}
	}
	return out, nil
}

// byName is a cluster of names of one port, resolved all the time.
func byName(t *testing.T, kind string, z *zone, port string, names ...string) *Cluster {
	t.Helper()
	var all []string
	for _, n := range names {
		all = append(all, "{endpoint: {address: {socket_address: {address: "+n+", port_value: "+port+"}}}}")
	}
	m := new(clusterv3.Cluster)
	proxytest.Decode(t, "{name: c, type: "+kind+", connect_timeout: 5s, dns_refresh_rate: 0.1s, load_assignment: {cluster_name: c, endpoints: [{lb_endpoints: ["+strings.Join(all, ", ")+"]}]}}", m)
	c, err := Compile(m, Options{Resolver: z})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// become waits until the cluster has these endpoints, in this order.
func become(t *testing.T, c *Cluster, want ...string) {
	t.Helper()
	harness.Eventually(t, 10*time.Second, fmt.Sprint(want), func() (bool, any) {
		var got []string
		for _, h := range c.Hosts() {
			got = append(got, h.Text)
		}
		return c.hosts.Load() != nil && slices.Equal(got, want), got
	})
}

// TestNamesByThemselves: a name that cannot be asked for keeps its addresses, one that has
// none any more loses them, whatever becomes of others.
func TestNamesByThemselves(t *testing.T) {
	z := &zone{names: map[string]any{"a": "10.0.0.1", "b": "10.0.0.2 10.0.0.3"}}
	c := byName(t, "STRICT_DNS", z, "80", "a", "b")
	become(t, c, "10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80")
	host := c.Hosts()[1]
	z.set("a", "10.0.0.9")
	z.set("b", errors.New("no answer"))
	become(t, c, "10.0.0.9:80", "10.0.0.2:80", "10.0.0.3:80")
	z.set("b", "10.0.0.2")
	become(t, c, "10.0.0.9:80", "10.0.0.2:80")
	if c.Hosts()[1] != host {
		t.Error("an endpoint that stays is another one")
	}
	z.set("b", nil)
	become(t, c, "10.0.0.9:80")
	z.set("a", nil)
	become(t, c)
}

// TestLogical: the addresses are one endpoint, which is another one once they change, and
// stays while there are none.
func TestLogical(t *testing.T) {
	z := &zone{names: map[string]any{"a": "127.0.0.9 127.0.0.1"}}
	port := server(t) // at 127.0.0.1 alone
	c := byName(t, "LOGICAL_DNS", z, port, "a")
	become(t, c, "127.0.0.9:"+port)
	conn, err := c.Hosts()[0].Get(t.Context(), time.Time{}, false, From{Major: 1})
	if err != nil {
		t.Fatal("the second address is not tried: ", err)
	}
	if n := c.Counts.CxTotal.Load(); n != 2 {
		t.Errorf("%d attempts are counted, want 2", n)
	}
	conn.Put(true)
	for _, none := range []any{errors.New("no answer"), nil} {
		z.set("a", none)
		before := z.count()
		harness.Eventually(t, 10*time.Second, "it is asked for again", func() (bool, any) { n := z.count(); return n > before+1, n })
		if again := c.Hosts()[0].takeIdle(&c.Hosts()[0].pool); again != conn {
			t.Fatalf("%v: the connection is gone", none)
		}
		c.breakers[Default].active.Add(1)
		c.Hosts()[0].active.Add(1)
		conn.Put(true)
	}
	host := c.Hosts()[0]
	z.set("a", "127.0.0.1 127.0.0.9")
	become(t, c, "127.0.0.1:"+port)
	if host.takeIdle(&host.pool) != nil {
		t.Error("connections to where it was are used on")
	}
	if n := c.breakers[Default].conns.Load(); n != 0 {
		t.Errorf("%d connections are open, want none", n)
	}
}

// TestNamesEnd: nobody asks for the names of a cluster that is closed.
func TestNamesEnd(t *testing.T) {
	z := &zone{names: map[string]any{"a": "10.0.0.1"}}
	c := byName(t, "STRICT_DNS", z, "80", "a")
	become(t, c, "10.0.0.1:80")
	c.Close()
	if c.names.timer.Stop() {
		t.Error("the timer runs")
	}
	c.renew() // one that was under way
	if c.names.timer.Stop() {
		t.Error("the timer runs again")
	}
}

func TestNextTurn(t *testing.T) {
	n := &names{refresh: 5 * time.Second}
	for _, tt := range []struct {
		ttl    time.Duration
		failed bool
		byTTL  bool
		want   time.Duration
	}{
		{0, false, false, 5 * time.Second},
		{time.Minute, false, false, 5 * time.Second},
		{time.Minute, false, true, time.Minute},
		{0, false, true, 5 * time.Second},
		{0, true, false, 5 * time.Second},
	} {
		n.byTTL = tt.byTTL
		if got := n.next(tt.ttl, tt.failed); got != tt.want {
			t.Errorf("%+v: %s", tt, got)
		}
	}
	n.byTTL, n.least = true, 10*time.Second
	if short, long := n.next(time.Second, false), n.next(time.Minute, false); short != n.least || long != time.Minute {
		t.Errorf("at least %s: %s and %s", n.least, short, long)
	}
	n = &names{refresh: time.Hour, failure: time.Second, failureMax: 10 * time.Second}
	for i, most := range []time.Duration{1, 2, 4, 8, 10, 10} {
		for range 50 {
			before := n.backoff
			if got := n.next(0, true); got < minDNSRefresh || got > most*time.Second {
				t.Errorf("failure %d: %s", i, got)
			}
			if n.backoff != most*time.Second {
				t.Errorf("failure %d: up to %s", i, n.backoff)
			}
			n.backoff = before
		}
		n.next(0, true)
	}
	if n.next(0, false) != time.Hour || n.backoff != 0 {
		t.Error("a success changes nothing")
	}
	n.jitter = time.Minute
	least, most := time.Duration(1<<62), time.Duration(0)
	for range 200 {
		d := n.next(0, false)
		least, most = min(least, d), max(most, d)
	}
	if least < time.Hour || most >= time.Hour+time.Minute || most-least < time.Second {
		t.Errorf("with jitter from %s to %s", least, most)
	}
}

// TestAlternate: families take turns, beginning with the first address's.
func TestAlternate(t *testing.T) {
	var all []netip.AddrPort
	for _, a := range []string{"10.0.0.1:1", "10.0.0.2:1", "10.0.0.3:1", "[::1]:1", "[::2]:1"} {
		all = append(all, netip.MustParseAddrPort(a))
	}
	if got := fmt.Sprint(alternate(all)); got != "[10.0.0.1:1 [::1]:1 10.0.0.2:1 [::2]:1 10.0.0.3:1]" {
		t.Error(got)
	}
	slices.Reverse(all)
	if got := fmt.Sprint(alternate(all)); got != "[[::2]:1 10.0.0.3:1 [::1]:1 10.0.0.2:1 10.0.0.1:1]" {
		t.Error(got)
	}
}

// TestResolvers: who is asked, of those that are configured and those of the machine.
func TestResolvers(t *testing.T) {
	set, unset := filepath.Join(t.TempDir(), "a"), filepath.Join(t.TempDir(), "b")
	if err := os.WriteFile(set, []byte("nameserver 192.0.2.1\nsearch a.test\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	const own = "resolvers: [{socket_address: {address: 192.0.2.2}}, {socket_address: {address: '::1', port_value: 5353}}]"
	for _, tt := range []struct{ config, file, want string }{
		{"", set, "[192.0.2.1:53] [a.test] 5s 4 false false"},
		{"", unset, "[127.0.0.1:53] [] 5s 4 false false"},
		{own, set, "[192.0.2.2:53 [::1]:5353] [a.test] 5s 4 false false"},
		{own + ", use_resolvers_as_fallback: true", set, "[192.0.2.1:53] [a.test] 5s 4 false false"},
		{own + ", use_resolvers_as_fallback: true", unset, "[192.0.2.2:53 [::1]:5353] [] 5s 4 false false"},
		{"dns_resolver_options: {no_default_search_domain: true, use_tcp_for_dns_lookups: true}, query_tries: 2, query_timeout_seconds: 3, rotate_nameservers: true", set, "[192.0.2.1:53] [] 3s 2 true true"},
	} {
		m := new(caresv3.CaresDnsResolverConfig)
		proxytest.Decode(t, "{"+tt.config+"}", m)
		d, err := clientOf(m, tt.file)
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(d.Servers, d.Search.Domains, d.Timeout, d.Tries, d.TCP, d.Rotate); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.config, got, tt.want)
		}
	}
}

func TestNamesRefused(t *testing.T) {
	const one = `load_assignment: {cluster_name: c, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: a.b, port_value: 1}}}}]}]}`
	cares := func(fields string) string {
		return `{name: c, type: STRICT_DNS, ` + one + `, typed_dns_resolver_config: {name: x, typed_config: {"@type": type.googleapis.com/envoy.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig, ` + fields + `}}}`
	}
	dnsType := func(fields string) string {
		return `{name: c, cluster_type: {name: envoy.clusters.dns, typed_config: {"@type": type.googleapis.com/envoy.extensions.clusters.dns.v3.DnsCluster, ` + fields + `}}`
	}
	const at = "typed_dns_resolver_config.typed_config."
	for text, want := range map[string]string{
		"{name: c, type: LOGICAL_DNS}": "load_assignment.endpoints: LOGICAL_DNS has one locality with one endpoint",
		"{name: c, type: LOGICAL_DNS, " + strings.Replace(one, "[{endpoint", "[{endpoint: {address: {socket_address: {address: b.c, port_value: 1}}}}, {endpoint", 1) + "}": "load_assignment.endpoints: LOGICAL_DNS has one locality with one endpoint",
		"{name: c, type: STRICT_DNS, dns_refresh_rate: 0s}":                                                                                                 "dns_refresh_rate: must be above 0",
		"{name: c, type: STRICT_DNS, dns_jitter: -1s}":                                                                                                      "dns_jitter: not a duration from 0 on",
		"{name: c, type: STRICT_DNS, dns_failure_refresh_rate: {}}":                                                                                         "dns_failure_refresh_rate.base_interval: missing",
		"{name: c, type: STRICT_DNS, dns_failure_refresh_rate: {base_interval: 2s, max_interval: 1s}}":                                                      "dns_failure_refresh_rate.max_interval: below base_interval",
		`{name: c, type: STRICT_DNS, typed_dns_resolver_config: {name: x, typed_config: {"@type": type.googleapis.com/google.protobuf.Struct, value: {}}}}`: `typed_dns_resolver_config.typed_config: "type.googleapis.com/google.protobuf.Struct": not supported`,
		"{name: c, type: ORIGINAL_DST, lb_policy: CLUSTER_PROVIDED, dns_jitter: 1s}":                                                                        "dns_jitter: of a cluster that resolves no names: not supported",
		`{name: c, typed_dns_resolver_config: {name: x}}`:                                                                                                   "typed_dns_resolver_config: of a cluster that resolves no names: not supported",
		`{name: c, type: STRICT_DNS, respect_dns_ttl: true, typed_dns_resolver_config: {name: x, typed_config: {"@type": type.googleapis.com/envoy.extensions.network.dns_resolver.getaddrinfo.v3.GetAddrInfoDnsResolverConfig}}}`: "respect_dns_ttl: getaddrinfo tells none: not supported",
		dnsType("dns_min_refresh_rate: 0.5s") + "}":                         "cluster_type.typed_config.dns_min_refresh_rate: must be at least 1s",
		dnsType("dns_jitter: -1s") + "}":                                    "cluster_type.typed_config.dns_jitter: not a duration from 0 on",
		dnsType("dns_failure_refresh_rate: {}") + "}":                       "cluster_type.typed_config.dns_failure_refresh_rate.base_interval: missing",
		dnsType("dns_refresh_rate: 1s") + ", respect_dns_ttl: true}":        "respect_dns_ttl: beside cluster_type, which has its own: not supported",
		dnsType("all_addresses_in_single_endpoint: true") + "}":             "load_assignment.endpoints: LOGICAL_DNS has one locality with one endpoint",
		cares("query_tries: 0"):                                             at + "query_tries: must be from 1 to 16",
		cares("query_timeout_seconds: 31"):                                  at + "query_timeout_seconds: must be from 1 to 30",
		cares("qcache_max_ttl: 1"):                                          at + "qcache_max_ttl: not supported",
		cares("filter_unroutable_families: true"):                           at + "filter_unroutable_families: not supported",
		cares("resolvers: [{pipe: {path: /x}}]"):                            at + "resolvers[0]: not a socket_address: not supported",
		cares("resolvers: [{socket_address: {address: a, port_value: 1}}]"): at + "resolvers[0].socket_address: not an IP address and a port",
	} {
		m := new(clusterv3.Cluster)
		proxytest.Decode(t, text, m)
		c, err := Compile(m, Options{})
		if err == nil || err.Error() != want {
			t.Errorf("%s:\n%v, want\n%s", text, err, want)
		}
		if err == nil {
			c.Close()
		}
	}
}
