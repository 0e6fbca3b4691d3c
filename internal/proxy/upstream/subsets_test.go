package upstream

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/usher-mesh/usher/internal/proxy/counters"
	"github.com/usher-mesh/usher/internal/proxy/proxytest"
	"github.com/usher-mesh/usher/internal/proxy/upstream/subset"
)

// labelled makes a cluster whose endpoints, from port 1 on, have these metadata (JSON).
func labelled(t testing.TB, config string, metadata ...string) (*Cluster, *counters.Set) {
	t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "name: c\ntype: STATIC\nlb_subset_config: %s\nload_assignment:\n  cluster_name: c\n  endpoints:\n  - lb_endpoints:\n", config)
	for i, m := range metadata {
		fmt.Fprintf(&b, "    - {endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: %d}}}, metadata: {filter_metadata: {envoy.lb: %s}}}\n", i+1, m)
	}
	n := &counters.Set{}
	m := new(clusterv3.Cluster)
	proxytest.Decode(t, b.String(), m)
	c, err := Compile(m, Options{Counters: n})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c, n
}

func TestSubsets(t *testing.T) {
	hosts := []string{"{v: 1, e: dev}", "{v: 2, e: dev}", "{v: 2, e: prod}", "{e: [dev, prod]}", "{}"}
	const two = "subset_selectors: [{keys: [v]}, {keys: [e, v]}]"
	for _, tt := range []struct{ name, config, want, hosts string }{
		{"one", "{" + two + "}", "{v: 2}", "2 3"},
		{"both", "{" + two + "}", "{v: 2, e: prod}", "3"},
		{"no such value", "{" + two + "}", "{v: 3}", ""},
		{"no such selector", "{" + two + "}", "{e: dev}", ""},
		{"other kind", "{" + two + "}", "{v: '2'}", ""},
		{"nothing asked", "{" + two + "}", "", ""},
		{"any", "{fallback_policy: ANY_ENDPOINT, " + two + "}", "{v: 3}", "1 2 3 4 5"},
		{"any, nothing asked", "{fallback_policy: ANY_ENDPOINT, " + two + "}", "", "1 2 3 4 5"},
		{"default", "{fallback_policy: DEFAULT_SUBSET, default_subset: {e: dev}, " + two + "}", "{v: 3}", "1 2"},
		{"default that is empty", "{fallback_policy: DEFAULT_SUBSET, default_subset: {e: no}, " + two + "}", "{v: 3}", ""},
		{"panic", "{fallback_policy: DEFAULT_SUBSET, default_subset: {e: no}, panic_mode_any: true, " + two + "}", "{v: 3}", "1 2 3 4 5"},
		{"panic without fallback", "{panic_mode_any: true, " + two + "}", "{v: 3}", ""},
		{"no selectors", "{}", "{v: 3}", "1 2 3 4 5"},
		{"list as a value", "{subset_selectors: [{keys: [e]}]}", "{e: [dev, prod]}", "4"},
		{"list as any", "{list_as_any: true, subset_selectors: [{keys: [e]}]}", "{e: prod}", "3 4"},
		{"selector: none", "{fallback_policy: ANY_ENDPOINT, subset_selectors: [{keys: [v], fallback_policy: NO_FALLBACK}]}", "{v: 3}", ""},
		{"selector: any", "{subset_selectors: [{keys: [v], fallback_policy: ANY_ENDPOINT}]}", "{v: 3}", "1 2 3 4 5"},
		{"selector: default", "{default_subset: {e: prod}, subset_selectors: [{keys: [v], fallback_policy: DEFAULT_SUBSET}]}", "{v: 3}", "3"},
		{"selector: fewer keys", "{subset_selectors: [{keys: [v]}, {keys: [v, e], fallback_policy: KEYS_SUBSET, fallback_keys_subset: [v]}]}", "{v: 2, e: no}", "2 3"},
		{"selector: fewer keys, in vain", "{fallback_policy: ANY_ENDPOINT, subset_selectors: [{keys: [v], fallback_policy: NO_FALLBACK}, {keys: [v, e], fallback_policy: KEYS_SUBSET, fallback_keys_subset: [v]}]}", "{v: 9, e: no}", ""},
	} {
		c, _ := labelled(t, tt.config, hosts...)
		var want *subset.Criteria
		if tt.want != "" {
			m := new(structpb.Struct)
			proxytest.Decode(t, tt.want, m)
			want = subset.New(m)
		}
		seen := map[int]bool{}
		for range 200 {
			if h, err := c.Pick(t.Context(), Ask{Criteria: want}); err == nil {
				seen[int(h.Addr.Port())] = true
			}
		}
		var all []string
		for i := range hosts {
			if seen[i+1] {
				all = append(all, fmt.Sprint(i+1))
			}
		}
		if got := strings.Join(all, " "); got != tt.hosts {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.hosts)
		}
	}
}

func TestSubsetCounters(t *testing.T) {
	c, n := labelled(t, "{fallback_policy: ANY_ENDPOINT, subset_selectors: [{keys: [v]}]}", "{v: 1}", "{v: 2}", "{v: 2}")
	m := new(structpb.Struct)
	proxytest.Decode(t, "{v: 2}", m)
	times(3, func() { c.Pick(t.Context(), Ask{Criteria: subset.New(m)}) })
	times(2, func() { c.Pick(t.Context(), Ask{}) })
	set(t, c, "1")
	if got, want := values(n), "lb_subsets_created 2, lb_subsets_fallback 2, lb_subsets_removed 2, lb_subsets_selected 3"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// A route's criteria give way to those of its cluster and of filters, name by name.
func TestCriteria(t *testing.T) {
	m := new(structpb.Struct)
	proxytest.Decode(t, "{a: 1, b: x}", m)
	c := subset.New(m).With(map[string]string{"b": `"y"`, "c": "true"})
	want := new(structpb.Struct)
	proxytest.Decode(t, "{c: true, b: 'y', a: 1.0}", want)
	if w := subset.New(want); c.Key != w.Key || c.Names != w.Names {
		t.Errorf("%q, want %q", c.Key, w.Key)
	}
	if subset.New(nil) != nil || c.With(nil) != c {
		t.Error("nothing is something")
	}
	many := new(structpb.Struct)
	proxytest.Decode(t, "{a: ["+strings.Repeat("1, 2, 3, ", 999)+"4]}", many)
	if keys := subset.Keys(many, []string{"a"}, true, 5000); !slices.Equal(keys, []string{"a\x001\x00", "a\x002\x00", "a\x003\x00", "a\x004\x00"}) {
		t.Errorf("%q", keys)
	}
}

func TestSubsetsRefused(t *testing.T) {
	var long []string
	for i := range 80 {
		long = append(long, fmt.Sprint(i))
	}
	list := "[" + strings.Join(long, ", ") + "]"
	for text, want := range map[string]string{
		"{locality_weight_aware: true}":                                                                 "lb_subset_config.locality_weight_aware: not supported",
		"{scale_locality_weight: true}":                                                                 "lb_subset_config.scale_locality_weight: not supported",
		"{metadata_fallback_policy: FALLBACK_LIST}":                                                     "lb_subset_config.metadata_fallback_policy: not supported",
		"{subset_selectors: [{keys: [a], single_host_per_subset: true}]}":                               "lb_subset_config.subset_selectors[0].single_host_per_subset: not supported",
		"{subset_selectors: [{}]}":                                                                      "lb_subset_config.subset_selectors[0].keys: empty",
		"{subset_selectors: [{keys: [a], fallback_policy: KEYS_SUBSET, fallback_keys_subset: [a]}]}":    "lb_subset_config.subset_selectors[0].fallback_keys_subset: must be some of keys, and not all",
		"{subset_selectors: [{keys: [a, b], fallback_policy: KEYS_SUBSET, fallback_keys_subset: [c]}]}": "lb_subset_config.subset_selectors[0].fallback_keys_subset: not among keys",
		"{subset_selectors: [{keys: [a, b], fallback_keys_subset: [a]}]}":                               "lb_subset_config.subset_selectors[0].fallback_keys_subset: only for KEYS_SUBSET",
		"{list_as_any: true, subset_selectors: [{keys: [a, b]}]}":                                       "load_assignment.endpoints[0].lb_endpoints[0].metadata: the endpoint is in more than 4096 subsets",
	} {
		m := new(clusterv3.Cluster)
		proxytest.Decode(t, "{name: c, type: STATIC, lb_subset_config: "+text+", load_assignment: {cluster_name: c, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: 1}}}, metadata: {filter_metadata: {envoy.lb: {a: "+list+", b: "+list+"}}}}]}]}}", m)
		if _, err := Compile(m, Options{}); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}
