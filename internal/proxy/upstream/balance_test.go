package upstream

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	"google.golang.org/protobuf/proto"

	"github.com/usher-mesh/usher/internal/proxy/proxytest"
)

const overEDS = "name: c, type: EDS, eds_cluster_config: {eds_config: {ads: {}}}, "

func picks(t testing.TB, c *Cluster, n int, ask func(i int) Ask) map[uint16]int {
	t.Helper()
	got := map[uint16]int{}
	for i := range n {
		if h, err := c.Pick(context.Background(), ask(i)); err == nil {
			got[h.Addr.Port()]++
		}
	}
	return got
}

func anyAsk(int) Ask { return Ask{} }

// TestPanic holds what the threshold changes, and that no traffic is an answer too.
func TestPanic(t *testing.T) {
	for _, tt := range []struct {
		name, common, spec string
		want               map[uint16]int
		panics             int64
	}{
		{"below the default", "", "1 2!UNHEALTHY 3!UNHEALTHY", map[uint16]int{1: 20, 2: 20, 3: 20}, 60},
		{"above one's own", "healthy_panic_threshold: {value: 33}", "1 2!UNHEALTHY 3!UNHEALTHY", map[uint16]int{1: 60}, 0},
		{"off", "healthy_panic_threshold: {value: 0}", "1!UNHEALTHY", map[uint16]int{}, 0},
		{"fail", "zone_aware_lb_config: {fail_traffic_on_panic: true}", "1 2!UNHEALTHY 3!UNHEALTHY", map[uint16]int{}, 60},
		{"none in a healthy cluster", "", "1!UNHEALTHY|2", map[uint16]int{2: 60}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := cluster(t, "{"+overEDS+"common_lb_config: {"+tt.common+"}}")
			set(t, c, tt.spec)
			if got := picks(t, c, 60, anyAsk); fmt.Sprint(got) != fmt.Sprint(tt.want) {
				t.Errorf("%v, want %v", got, tt.want)
			}
			if n := c.Counts.Panic.Load(); n != uint64(tt.panics) {
				t.Errorf("%d in panic, want %d", n, tt.panics)
			}
		})
	}
}

// TestSpill holds that a priority at half its strength keeps 70 percent, by chance for a
// round robin and by hash for a table.
func TestSpill(t *testing.T) {
	for _, policy := range []string{"ROUND_ROBIN", "MAGLEV"} {
		c := cluster(t, "{"+overEDS+"lb_policy: "+policy+", maglev_lb_config: {table_size: 127}}")
		set(t, c, "1 2!UNHEALTHY|3")
		got := picks(t, c, 5000, func(i int) Ask { return Ask{Hash: uint64(i) + 1} })
		if got[2] > 0 || got[1] < 3300 || got[1] > 3700 || got[1]+got[3] != 5000 {
			t.Errorf("%s: %v", policy, got)
		}
	}
}

// merge reads a message from YAML into what m has already.
func merge(t testing.TB, text string, m proto.Message) {
	t.Helper()
	more := m.ProtoReflect().New().Interface()
	proxytest.Decode(t, text, more)
	proto.Merge(m, more)
}

func localities(t *testing.T, c *Cluster, weights [2]int, specs [2]string) {
	t.Helper()
	m := new(endpointv3.ClusterLoadAssignment)
	proxytest.Decode(t, endpoints(specs[0]+"|"+specs[1]), m)
	for i, l := range m.GetEndpoints() {
		l.Priority = 0
		merge(t, fmt.Sprintf("{locality: {zone: z%d}, load_balancing_weight: %d}", i, weights[i]), l)
	}
	if err := c.SetEndpoints(m); err != nil {
		t.Fatal(err)
	}
}

func TestLocalities(t *testing.T) {
	for _, tt := range []struct {
		name, lb string
		weights  [2]int
		specs    [2]string
		want     map[uint16]int
	}{
		{"weighted", "common_lb_config: {locality_weighted_lb_config: {}}", [2]int{2, 1}, [2]string{"1", "2 3"}, map[uint16]int{1: 400, 2: 100, 3: 100}},
		{"not asked for", "", [2]int{2, 1}, [2]string{"1", "2 3"}, map[uint16]int{1: 200, 2: 200, 3: 200}},
		{"one has none", "common_lb_config: {locality_weighted_lb_config: {}}", [2]int{0, 1}, [2]string{"1", "2 3"}, map[uint16]int{2: 300, 3: 300}},
		{"none has any", "common_lb_config: {locality_weighted_lb_config: {}}", [2]int{0, 0}, [2]string{"1", "2 3"}, map[uint16]int{1: 200, 2: 200, 3: 200}},
		// 1/2 healthy times 1.4 is 0.7 of the weight.
		{"part of one fails", "common_lb_config: {locality_weighted_lb_config: {}}", [2]int{1, 1}, [2]string{"1 2!UNHEALTHY", "3 4"}, map[uint16]int{1: 247, 3: 177, 4: 176}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := cluster(t, "{"+overEDS+tt.lb+"}")
			localities(t, c, tt.weights, tt.specs)
			got := picks(t, c, 600, anyAsk)
			for p := range uint16(5) {
				if d := got[p] - tt.want[p]; d < -2 || d > 2 {
					t.Errorf("%v, want %v", got, tt.want)
				}
			}
		})
	}
}

// TestHashedLocalities holds that a table's shares follow the localities' weights.
func TestHashedLocalities(t *testing.T) {
	c := cluster(t, "{"+overEDS+"lb_policy: MAGLEV, common_lb_config: {locality_weighted_lb_config: {}}}")
	localities(t, c, [2]int{3, 1}, [2]string{"1", "2 3"})
	got := picks(t, c, 65537, func(i int) Ask { return Ask{Hash: uint64(i) + 1} })
	for p, want := range map[uint16]int{1: 49152, 2: 8192, 3: 8192} {
		if d := got[p] - want; d < -50 || d > 50 {
			t.Errorf("%v: %d should have %d", got, p, want)
		}
	}
}

// TestAvoid holds that a host that was asked is not asked again while there is a choice.
func TestAvoid(t *testing.T) {
	c := cluster(t, "{"+overEDS+"}")
	set(t, c, "1 2 3")
	bad := c.Hosts()[:2]
	if got := picks(t, c, 30, func(int) Ask { return Ask{Avoid: bad, Choices: 2} }); got[3] != 30 {
		t.Errorf("%v", got)
	}
	if got := picks(t, c, 30, func(int) Ask { return Ask{Avoid: c.Hosts(), Choices: 2} }); len(got) == 0 {
		t.Error("nobody is asked if all are to be avoided")
	}
}

// TestHashKey holds what stands for an endpoint: its key in the metadata, its name if the
// cluster says so, else its address.
func TestHashKey(t *testing.T) {
	one := func(extra, ports string) map[uint64]string {
		c := cluster(t, "{"+overEDS+"lb_policy: RING_HASH, "+extra+"}")
		m := new(endpointv3.ClusterLoadAssignment)
		proxytest.Decode(t, endpoints(ports), m)
		for i, e := range m.GetEndpoints()[0].GetLbEndpoints() {
			merge(t, fmt.Sprintf("{metadata: {filter_metadata: {envoy.lb: {hash_key: k%d}}}}", i), e)
			e.GetEndpoint().Hostname = fmt.Sprint("h", i)
			if extra != "" {
				e.Metadata = nil
			}
		}
		if err := c.SetEndpoints(m); err != nil {
			t.Fatal(err)
		}
		out := map[uint64]string{}
		for h := uint64(1); h < 1<<63; h *= 3 {
			host, err := c.Pick(context.Background(), Ask{Hash: h})
			if err != nil {
				t.Fatal(err)
			}
			out[h] = host.Name
		}
		return out
	}
	hostname := "common_lb_config: {consistent_hashing_lb_config: {use_hostname_for_hashing: true}}"
	for _, extra := range []string{"", hostname} {
		if a, b := one(extra, "1 2 3"), one(extra, "4 5 6"); fmt.Sprint(a) != fmt.Sprint(b) {
			t.Errorf("%q: other addresses, other choices:\n%v\n%v", extra, a, b)
		}
	}
}

func BenchmarkPick(b *testing.B) {
	c := cluster(b, "{"+overEDS+"}")
	set(b, c, "1 2 3 4")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Pick(context.Background(), Ask{Hash: 5}); err != nil {
			b.Fatal(err)
		}
	}
}

// resolved are the addresses that every name has.
type resolved []netip.Addr

func (r resolved) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) { return r, nil }

// TestLookupFamily holds which of a name's addresses are asked.
func TestLookupFamily(t *testing.T) {
	four, six := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("2001:db8::1")
	for _, tt := range []struct {
		family string
		has    resolved
		want   string
	}{
		{"AUTO", resolved{four, six}, "[2001:db8::1]:80"},
		{"AUTO", resolved{four}, "10.0.0.1:80"},
		{"V4_PREFERRED", resolved{four, six}, "10.0.0.1:80"},
		{"V4_PREFERRED", resolved{six}, "[2001:db8::1]:80"},
		{"V4_ONLY", resolved{four, six}, "10.0.0.1:80"},
		{"V4_ONLY", resolved{six}, ""},
		{"V6_ONLY", resolved{four}, ""},
		{"ALL", resolved{six, four}, "10.0.0.1:80 [2001:db8::1]:80"},
	} {
		m := new(clusterv3.Cluster)
		proxytest.Decode(t, "{name: c, type: STRICT_DNS, dns_lookup_family: "+tt.family+", load_assignment: {cluster_name: c, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: a.test, port_value: 80}}}}]}]}}", m)
		c, err := Compile(m, Options{Resolver: tt.has})
		if err != nil {
			t.Fatal(err)
		}
		c.Pick(context.Background(), Ask{})
		var got []string
		for _, h := range c.Hosts() {
			got = append(got, h.Text)
		}
		if s := strings.Join(got, " "); s != tt.want {
			t.Errorf("%s of %v: %s, want %s", tt.family, tt.has, s, tt.want)
		}
		c.Close()
	}
}
