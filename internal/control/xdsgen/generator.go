package xdsgen

import (
	"fmt"
	"maps"
	"slices"
	"sort"
	"strings"
	"sync"

	"github.com/usher-mesh/usher/internal/control/memo"
	"github.com/usher-mesh/usher/internal/mesh"
)

// Generator makes resources and keeps what it made of parts of the model that
// stay the same. It is safe for concurrent use.
type Generator struct {
	o     Options
	fixed []*Resource

	mu        sync.Mutex
	model     *mesh.Model
	clusters  memo.Table[string, []*Resource]
	endpoints memo.Table[string, []*Resource]
	secrets   memo.Table[string, []*Resource] // by Secret and the Gateway objects that name it
	outbound  memo.Table[string, *Resource]
	edges     memo.Table[string, []*Resource]
	inbound   memo.Table[string, []*Resource]
	scopes    memo.Table[string, map[string]*Resource]
	unions    memo.Table[string, map[string]*Resource]
	shared    *shared
}

// shared is what all proxies see of one model. A map stays the same one while its
// content does: whoever compares what proxies have and are to have need not look into it.
type shared struct {
	clusters, endpoints *catalog
	routes              map[string]map[string]*Resource // by scope
	definitions         []any                           // of all services, as inputs
	meshServices        []any                           // VirtualServices of sidecars
	bySourceLabels      bool                            // one of them asks for the caller's labels
}

// catalog is a map that can be compared with ==.
type catalog struct{ resources map[string]*Resource }

// same gives the old one if the content is the same.
func (c *catalog) same(old *catalog) *catalog {
	if old != nil && maps.EqualFunc(c.resources, old.resources, equal) {
		return old
	}
	return c
}

// equal compares resources of one type and name.
func equal(a, b *Resource) bool {
	return a == b || a.Version == b.Version && slices.Equal(a.Origins, b.Origins)
}

// New makes a generator.
func New(o Options) *Generator {
	g := &Generator{o: o}
	g.fixed = g.fixedClusters()
	return g
}

// Generate makes everything that the proxy is to have. A proxy whose workload is
// not in the model receives nothing from anybody: what guards it is not known.
func (g *Generator) Generate(m *mesh.Model, p *mesh.Proxy) *Set {
	g.mu.Lock()
	defer g.mu.Unlock()
	if m != g.model {
		g.take(m)
	}
	s := &Set{Generation: m.Generation, ByType: map[string]map[string]*Resource{
		EndpointType: g.shared.endpoints.resources, ListenerType: {}, SecretType: {}, RouteType: {},
	}}
	var own []*Resource
	add := func(list []*Resource) {
		for _, r := range list {
			if r.Type == ClusterType {
				own = append(own, r)
			} else {
				s.ByType[r.Type][r.Name] = r
			}
		}
	}
	w := m.Workload(p.Namespace, p.Name)
	switch {
	case w == nil:
	case p.Kind == mesh.Gateway:
		add(g.edge(m, p, w))
	default:
		add(g.receive(m, p, w))
	}
	if p.Kind == mesh.Sidecar && p.Outbound.IsValid() {
		r, scope := g.outboundRoutes(m, p)
		s.ByType[RouteType] = scope
		add([]*Resource{g.outboundListener(p, r)})
	}
	s.ByType[ClusterType] = g.union(p, own)
	return s
}

// union gives the clusters of all proxies and this one's own.
func (g *Generator) union(p *mesh.Proxy, own []*Resource) map[string]*Resource {
	if len(own) == 0 {
		return g.shared.clusters.resources
	}
	deps := []any{g.shared.clusters}
	for _, r := range own {
		deps = append(deps, r.Name, r.Version, fmt.Sprint(r.Origins))
	}
	return g.unions.Get(p.Namespace+"/"+p.Name, deps, func() map[string]*Resource {
		all := maps.Clone(g.shared.clusters.resources)
		for _, r := range own {
			all[r.Name] = r
		}
		return all
	})
}

// take makes what all proxies share of a new model.
func (g *Generator) take(m *mesh.Model) {
	if g.model != nil {
		g.clusters.Turn()
		g.endpoints.Turn()
		g.secrets.Turn()
		g.outbound.Turn()
		g.edges.Turn()
		g.inbound.Turn()
		g.scopes.Turn()
		g.unions.Turn()
	}
	g.model = m
	sh := &shared{routes: map[string]map[string]*Resource{}}
	clusters, endpoints := map[string]*Resource{}, map[string]*Resource{}
	for _, r := range g.fixed {
		clusters[r.Name] = r
	}
	for _, s := range m.Services {
		sh.definitions = append(sh.definitions, s.Definition)
		deps := []any{s.Definition, strings.Join(s.Accounts, " ")}
		for _, r := range g.clusters.Get(s.Hostname, deps, func() []*Resource { return serviceClusters(s) }) {
			clusters[r.Name] = r
		}
		for _, r := range g.endpoints.Get(s.Hostname, []any{s}, func() []*Resource { return serviceEndpoints(s) }) {
			endpoints[r.Name] = r
		}
	}
	for _, v := range m.VirtualServices {
		if v.Mesh {
			sh.meshServices = append(sh.meshServices, v)
			sh.bySourceLabels = sh.bySourceLabels || asksForLabels(v)
		}
	}
	sh.clusters, sh.endpoints = &catalog{clusters}, &catalog{endpoints}
	if old := g.shared; old != nil {
		sh.clusters, sh.endpoints = sh.clusters.same(old.clusters), sh.endpoints.same(old.endpoints)
	}
	g.shared = sh
}

func asksForLabels(v *mesh.VirtualService) bool {
	for _, r := range v.Routes {
		for _, m := range r.Matches {
			if len(m.SourceLabels) > 0 {
				return true
			}
		}
	}
	return false
}

// labelText is a map's content in one text.
func labelText(m map[string]string) string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	var b strings.Builder
	for _, k := range keys {
		fmt.Fprintf(&b, "%q=%q,", k, m[k])
	}
	return b.String()
}
