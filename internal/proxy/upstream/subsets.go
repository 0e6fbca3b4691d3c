package upstream

import (
	"slices"
	"sync/atomic"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/usher-mesh/usher/internal/proxy/strict"
	"github.com/usher-mesh/usher/internal/proxy/upstream/subset"
)

type (
	fallback         = clusterv3.Cluster_LbSubsetConfig_LbSubsetFallbackPolicy
	selectorFallback = clusterv3.Cluster_LbSubsetConfig_LbSubsetSelector_LbSubsetSelectorFallbackPolicy
)

// subsetting is lb_subset_config: requests with criteria go to the endpoints whose metadata
// meets them, all others where the fallback says.
type subsetting struct {
	selectors map[string]*selector // by subset.Names
	fallback  fallback
	defaults  *structpb.Struct
	panicAny  bool
	lists     bool

	selected, fellBack, fellBackPanic, active, created, removed *atomic.Int64
}

type selector struct {
	keys     []string
	fallback selectorFallback
	reduced  []string // what KEYS_SUBSET asks for instead
}

// maxSubsets bounds the subsets that an endpoint is in by the lists of its metadata.
const maxSubsets = 4096

func (c *Cluster) subsets(m *clusterv3.Cluster) error {
	s := m.GetLbSubsetConfig()
	if err := strict.Only(s, "fallback_policy", "default_subset", "subset_selectors", "panic_mode_any", "list_as_any"); err != nil {
		return strict.At("lb_subset_config", err)
	}
	if len(s.GetSubsetSelectors()) == 0 {
		return nil // without any it has no effect in Envoy either
	}
	if m.GetLoadBalancingPolicy() != nil || m.GetClusterType() != nil {
		return strict.Errorf("lb_subset_config", "beside load_balancing_policy or cluster_type: %w", strict.ErrUnsupported)
	}
	t := &subsetting{selectors: map[string]*selector{}, fallback: s.GetFallbackPolicy(), defaults: s.GetDefaultSubset(), panicAny: s.GetPanicModeAny(), lists: s.GetListAsAny()}
	for i, x := range s.GetSubsetSelectors() {
		if err := t.selector(x); err != nil {
			return strict.At("lb_subset_config", strict.AtIndex("subset_selectors", i, err))
		}
	}
	of := func(name string) *atomic.Int64 { return c.counter("lb_subsets_"+name, name == "active") }
	t.selected, t.fellBack, t.fellBackPanic = of("selected"), of("fallback"), of("fallback_panic")
	t.active, t.created, t.removed = of("active"), of("created"), of("removed")
	c.subsetting = t
	return nil
}

func (t *subsetting) selector(x *clusterv3.Cluster_LbSubsetConfig_LbSubsetSelector) error {
	if err := strict.Only(x, "keys", "fallback_policy", "fallback_keys_subset"); err != nil {
		return err
	}
	if len(x.GetKeys()) == 0 {
		return strict.Errorf("keys", "empty")
	}
	reduced := x.GetFallbackKeysSubset()
	if x.GetFallbackPolicy() == clusterv3.Cluster_LbSubsetConfig_LbSubsetSelector_KEYS_SUBSET {
		switch names := subset.Names(reduced); {
		case names == "", names == subset.Names(x.GetKeys()):
			return strict.Errorf("fallback_keys_subset", "must be some of keys, and not all")
		case slices.ContainsFunc(reduced, func(k string) bool { return !slices.Contains(x.GetKeys(), k) }):
			return strict.Errorf("fallback_keys_subset", "not among keys")
		}
	} else if len(reduced) > 0 {
		return strict.Errorf("fallback_keys_subset", "only for KEYS_SUBSET")
	}
	names := subset.Names(x.GetKeys())
	if t.selectors[names] == nil { // the first of the same keys is in force
		t.selectors[names] = &selector{x.GetKeys(), x.GetFallbackPolicy(), reduced}
	}
	return nil
}

// keys gives the subsets that an endpoint with the metadata is in.
func (t *subsetting) keys(m *structpb.Struct) (all []string, err error) {
	for _, s := range t.selectors {
		all = append(all, subset.Keys(m, s.keys, t.lists, maxSubsets)...)
		if len(all) > maxSubsets {
			return nil, strict.Errorf("metadata", "the endpoint is in more than %d subsets", maxSubsets)
		}
	}
	slices.Sort(all)
	return all, nil
}

// isDefault tells whether an endpoint with the metadata is in the default subset.
func (t *subsetting) isDefault(m *structpb.Struct) bool {
	for name, want := range t.defaults.GetFields() {
		got := m.GetFields()[name]
		same := func(v *structpb.Value) bool { return subset.Text(v.AsInterface()) == subset.Text(want.AsInterface()) }
		if l := got.GetListValue(); l != nil && t.lists {
			if !slices.ContainsFunc(l.GetValues(), same) {
				return false
			}
		} else if got == nil || !same(got) {
			return false
		}
	}
	return true
}

// narrowed are the choices among some of a hostSet's endpoints.
type narrowed struct {
	by       map[string]*hostSet // subset.Criteria.Key; none is empty
	defaults *hostSet
}

// publish puts a choice of endpoints in force. The lock is held.
func (c *Cluster) publish(a *assignment, all []*Host) {
	s := c.arrange(a, all)
	if t := c.subsetting; t != nil {
		var old map[string]*hostSet
		if before := c.hosts.Load(); before != nil {
			old = before.narrowed.by
		}
		s.narrowed = c.narrow(a, all)
		for k := range s.narrowed.by {
			if old[k] == nil {
				t.created.Add(1)
				t.active.Add(1)
			}
		}
		for k := range old {
			if s.narrowed.by[k] == nil {
				t.removed.Add(1)
				t.active.Add(-1)
			}
		}
	}
	c.hosts.Store(s)
}

func (c *Cluster) narrow(a *assignment, all []*Host) (n narrowed) {
	type part struct {
		a     *assignment
		hosts []*Host
	}
	parts := map[string]*part{}
	add := func(key string, i int) {
		p := parts[key]
		if p == nil {
			p = &part{a: &assignment{overprovisioning: a.overprovisioning}}
			parts[key] = p
		}
		p.a.endpoints = append(p.a.endpoints, a.endpoints[i])
		p.hosts = append(p.hosts, all[i])
	}
	for i := range a.endpoints {
		for _, k := range a.endpoints[i].subsets {
			add(k, i)
		}
		if a.endpoints[i].isDefault {
			add("", i) // no key of a subset is empty
		}
	}
	n.by = make(map[string]*hostSet, len(parts))
	for k, p := range parts {
		s := c.arrange(p.a, p.hosts)
		if k == "" {
			n.defaults = s
		} else {
			n.by[k] = s
		}
	}
	return n
}

// choose gives the endpoint for criteria, nil if there is none.
func (t *subsetting) choose(c *Cluster, s *hostSet, a *Ask, try int) *Host {
	want := a.Criteria
selectors:
	for want != nil {
		if some := s.narrowed.by[want.Key]; some != nil {
			t.selected.Add(1)
			return c.choose(some, a, try)
		}
		x := t.selectors[want.Names]
		if x == nil {
			break
		}
		switch x.fallback {
		case clusterv3.Cluster_LbSubsetConfig_LbSubsetSelector_NO_FALLBACK:
			return nil
		case clusterv3.Cluster_LbSubsetConfig_LbSubsetSelector_ANY_ENDPOINT:
			return c.choose(s, a, try)
		case clusterv3.Cluster_LbSubsetConfig_LbSubsetSelector_DEFAULT_SUBSET:
			if s.narrowed.defaults == nil {
				return nil
			}
			return c.choose(s.narrowed.defaults, a, try)
		case clusterv3.Cluster_LbSubsetConfig_LbSubsetSelector_KEYS_SUBSET:
			want = want.Only(x.reduced)
			continue selectors
		}
		break
	}
	var rest *hostSet
	switch t.fallback {
	case clusterv3.Cluster_LbSubsetConfig_ANY_ENDPOINT:
		rest = s
	case clusterv3.Cluster_LbSubsetConfig_DEFAULT_SUBSET:
		rest = s.narrowed.defaults
	default:
		return nil
	}
	if rest != nil {
		if h := c.choose(rest, a, try); h != nil {
			t.fellBack.Add(1)
			return h
		}
	}
	if t.panicAny {
		if h := c.choose(s, a, try); h != nil {
			t.fellBackPanic.Add(1)
			return h
		}
	}
	return nil
}
