package upstreams

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	. "github.com/usher-mesh/usher/test/conformance/beside"
	"github.com/usher-mesh/usher/test/harness"
)

// TestSameNames compares the endpoints of clusters by DNS, and where requests go, as answers
// change.
func TestSameNames(t *testing.T) {
	port := harness.FreePorts(t, 1)[0]
	for _, a := range []string{"127.0.0.1", "127.0.0.2"} {
		ln, err := net.Listen("tcp", fmt.Sprintf("%s:%d", a, port))
		if err != nil {
			t.Fatal(err)
		}
		h := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, a) })}
		go h.Serve(ln)
		t.Cleanup(func() { h.Close() })
	}
	type resolved struct {
		name, more string
		steps      []zoned
	}
	cases := []resolved{
		{"one", "dns_lookup_family: V4_ONLY", []zoned{{addrs: []string{"127.0.0.1"}}, {addrs: []string{"127.0.0.2"}}, {addrs: []string{"127.0.0.2", "127.0.0.1"}}, {addrs: []string{"127.0.0.1", "127.0.0.2"}}}},
		{"fallback", "dns_lookup_family: V4_ONLY", []zoned{{addrs: []string{"127.0.0.9", "127.0.0.1"}}}},
		{"gone", "dns_lookup_family: V4_ONLY", []zoned{{addrs: []string{"127.0.0.1"}}, {code: dnsmessage.RCodeNameError}, {addrs: []string{"127.0.0.2"}}}},
		{"fails", "dns_lookup_family: V4_ONLY", []zoned{{addrs: []string{"127.0.0.1"}}, {code: dnsmessage.RCodeServerFailure}, {addrs: []string{"127.0.0.2"}}}},
		{"refused", "dns_lookup_family: V4_ONLY", []zoned{{addrs: []string{"127.0.0.1"}}, {code: dnsmessage.RCodeRefused}}},
		{"empty", "dns_lookup_family: V4_ONLY", []zoned{{addrs: []string{"127.0.0.1"}}, {}}},
		{"never", "dns_lookup_family: V4_ONLY", []zoned{{code: dnsmessage.RCodeNameError}}},
		{"alias", "dns_lookup_family: V4_ONLY", []zoned{{alias: "one.there."}}},
		{"loop", "dns_lookup_family: V4_ONLY", []zoned{{alias: "loop.there."}}},
		{"tcp", "dns_lookup_family: V4_ONLY", []zoned{{addrs: []string{"127.0.0.1"}, truncated: true}}},
		{"all", "dns_lookup_family: ALL", []zoned{{addrs: []string{"127.0.0.2", "::1", "127.0.0.1"}}, {addrs: []string{"::1"}}, {addrs: []string{"127.0.0.1"}}}},
		{"auto", "dns_lookup_family: AUTO", []zoned{{addrs: []string{"127.0.0.2", "::1"}}, {addrs: []string{"127.0.0.2"}}}},
		{"four", "dns_lookup_family: V4_PREFERRED", []zoned{{addrs: []string{"127.0.0.2", "::1"}}, {addrs: []string{"::1"}}}},
		{"six", "dns_lookup_family: V6_ONLY", []zoned{{addrs: []string{"127.0.0.2", "::1"}}, {addrs: []string{"127.0.0.2"}}}},
		{"ttl", "dns_lookup_family: V4_ONLY, respect_dns_ttl: true, dns_refresh_rate: 1000s", []zoned{{addrs: []string{"127.0.0.1"}, ttl: 1}, {addrs: []string{"127.0.0.2"}, ttl: 1}}},
		{"held", "dns_lookup_family: V4_ONLY, dns_failure_refresh_rate: {base_interval: 0.1s, max_interval: 0.2s}", []zoned{{code: dnsmessage.RCodeNotImplemented}, {addrs: []string{"127.0.0.2"}}}},
	}
	each := func(do func(kind, name string, x resolved)) {
		for _, kind := range []string{"LOGICAL_DNS", "STRICT_DNS", "together", "apart"} { // the latter by envoy.clusters.dns
			for _, x := range cases {
				if kind == strings.ToLower(kind) && !slices.Contains([]string{"one", "fallback", "gone", "all", "four", "ttl"}, x.name) {
					continue
				}
				do(kind, strings.ToLower(kind[:1])+x.name, x)
			}
		}
	}
	say := func(p Program) (out []string) {
		s := serveDNS(t)
		var clusters, routes List
		each(func(kind, name string, x resolved) {
			s.set(name+".test.", x.steps[0])
			by := Object{"dns_refresh_rate": "0.1s"}
			Read(t, fmt.Sprintf(`{typed_dns_resolver_config: {name: envoy.network.dns_resolver.cares, typed_config: {"@type": %snetwork.dns_resolver.cares.v3.CaresDnsResolverConfig,
				resolvers: [{socket_address: {address: 127.0.0.1, port_value: %d}}]}}, %s}`, Types, s.port, x.more), &by)
			c := by
			if kind == strings.ToLower(kind) {
				by["@type"], by["all_addresses_in_single_endpoint"] = Types+"clusters.dns.v3.DnsCluster", kind == "together"
				c = Object{"cluster_type": Object{"name": "envoy.clusters.dns", "typed_config": by}}
			} else {
				c["type"] = kind
			}
			Read(t, fmt.Sprintf(`{name: %s, connect_timeout: 5s, load_assignment: {cluster_name: x, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: %s.test, port_value: %d}}}}]}]}}`,
				name, name, port), &c)
			clusters = append(clusters, c)
			routes = append(routes, Object{"match": Object{"path": "/" + name}, "route": Object{"cluster": name}})
		})
		s.set("one.there.", zoned{addrs: []string{"127.0.0.1"}})
		s.set("loop.there.", zoned{alias: "loop.there."})
		at := harness.FreePorts(t, 2)
		l := Listener("l", at[0], Object{"route_config": Object{"virtual_hosts": List{Object{"name": "v", "domains": List{"*"}, "routes": routes}}}})
		defer Start(t, at, Bootstrap(at[1], List{l}, clusters), p)()
		for step := range 4 {
			before := map[string]int{}
			each(func(kind, name string, x resolved) {
				if step < len(x.steps) {
					s.set(name+".test.", x.steps[step])
					before[name] = s.count(name + ".test.")
				}
			})
			each(func(kind, name string, x resolved) {
				if step >= len(x.steps) {
					return
				}
				least := 9 // a turn more than the one under way: in both families or over UDP and TCP, or in four tries
				if strings.Contains(x.more, "ttl") {
					least = 3
				}
				harness.Eventually(t, 30*time.Second, name+" is asked for", func() (bool, any) {
					n := s.count(name+".test.") - before[name]
					return n >= least, n
				})
				hosts, answer := shown(t, at[1], name, port), ""
				if kind == "LOGICAL_DNS" || kind == "together" || len(hosts) < 2 { // else it is by turns
					rs, b, err := (&Ask{Path: "/" + name}).Send(at[0])
					if err != nil {
						t.Fatal(err)
					}
					answer = fmt.Sprintf("%d %s", rs.StatusCode, b)
				}
				if kind == "STRICT_DNS" || kind == "apart" {
					slices.Sort(hosts)
				}
				out = append(out, fmt.Sprintf("%s %s, step %d: %s: %s", kind, x.name, step, hosts, answer))
			})
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

// shown gives a cluster's endpoints as /clusters has them.
func shown(t *testing.T, admin int, cluster string, port int) (out []string) {
	t.Helper()
	_, page := Page(t, admin, "/clusters")
	for line := range strings.Lines(page) {
		parts := strings.Split(strings.TrimSpace(line), "::")
		if parts[0] != cluster || !strings.Contains(line, "::hostname::") {
			continue
		}
		out = append(out, strings.Replace(strings.TrimPrefix(strings.TrimSpace(line), cluster+"::"), fmt.Sprint(":", port), "", 1))
	}
	return out
}
