package translate

import (
	"sort"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/usher-mesh/usher/internal/mesh"
)

// guards are all objects of authentication and authorization, each translated
// by itself.
type guards struct {
	requests       []*requestAuthentication
	authorizations []*authorization
	peers          []*peerAuthentication // oldest first
	policies       []*policy             // all, for their key sets
	byService      map[string][]*policy  // with targets, by namespace/service; oldest first
	byNamespace    map[string]*policy    // named default
	mesh           *policy               // the MeshPolicy
	broken         []*broken
	bound          map[[2]mesh.Ref]bool // what warnBinding has warned of
}

// broken is an object that denies what it selects.
type broken struct {
	mesh.Denial
	selects func(*entry, []*serviceObject) bool
}

func (p *pass) readSecurity() {
	g := &guards{byService: map[string][]*policy{}, byNamespace: map[string]*policy{}, bound: map[[2]mesh.Ref]bool{}}
	p.guards = g
	for _, o := range p.in.RequestAuthentications {
		ref := refOf(security, "RequestAuthentication", o)
		r := p.requests.Get(ref, []any{o}, func() *requestAuthentication { return translateRequest(ref, o) })
		p.found.report(ref, o, &r.verdict)
		if !g.deny(ref, &r.verdict, r.selects) {
			g.requests = append(g.requests, r)
		}
	}
	for _, o := range p.in.AuthorizationPolicies {
		ref := refOf(security, "AuthorizationPolicy", o)
		a := p.authorizations.Get(ref, []any{o}, func() *authorization { return translateAuthorization(ref, o) })
		p.found.report(ref, o, &a.verdict)
		if !g.deny(ref, &a.verdict, a.selects) {
			g.authorizations = append(g.authorizations, a)
		}
	}
	for _, o := range p.in.PeerAuthentications {
		ref := refOf(security, "PeerAuthentication", o)
		a := p.peers.Get(ref, []any{o}, func() *peerAuthentication { return translatePeer(ref, o) })
		p.found.report(ref, o, &a.verdict)
		if !g.deny(ref, &a.verdict, a.selects) {
			g.peers = append(g.peers, a)
		}
	}
	sort.SliceStable(g.peers, func(i, j int) bool { return older(g.peers[i].object, g.peers[j].object) })
	p.peerConflicts()
	for _, o := range p.in.Policies {
		ref := refOf(authentication, "Policy", o)
		p.addPolicy(o, p.Translator.policies.Get(ref, []any{o}, func() *policy { return translatePolicy(ref, o, &o.Spec) }))
	}
	for _, o := range p.in.MeshPolicies {
		ref := refOf(authentication, "MeshPolicy", o)
		p.addPolicy(o, p.Translator.policies.Get(ref, []any{o}, func() *policy { return translatePolicy(ref, o, &o.Spec) }))
	}
	p.orderPolicies()
	for _, u := range p.in.Undecodable {
		if grp := u.GroupVersionKind().Group; grp == security || grp == authentication {
			ref := refOf(grp, u.GetKind(), u)
			g.broken = append(g.broken, &broken{mesh.Denial{Ref: ref, Reason: "it cannot be decoded"}, undecodableSelects(u.Unstructured)})
		}
	}
}

// deny files an object that was refused.
func (g *guards) deny(ref mesh.Ref, v *verdict, selects func(*entry, []*serviceObject) bool) bool {
	if v.refused() {
		g.broken = append(g.broken, &broken{mesh.Denial{Ref: ref, Reason: v.message}, selects})
	}
	return v.refused()
}

func (p *pass) addPolicy(o metav1.Object, pol *policy) {
	g := p.guards
	p.found.report(pol.ref, o, &pol.verdict)
	ns := o.GetNamespace()
	if pol.verdict.refused() {
		names := map[string]bool{}
		for _, t := range pol.spec.Targets {
			names[t.Name] = true
		}
		g.deny(pol.ref, &pol.verdict, targetSelects(ns, names))
		return
	}
	g.policies = append(g.policies, pol)
	switch {
	case pol.ref.Kind == "MeshPolicy":
		g.mesh = pol
	case len(pol.spec.Targets) == 0:
		g.byNamespace[ns] = pol
	default:
		for _, t := range pol.spec.Targets {
			key := ns + "/" + t.Name
			if l := g.byService[key]; len(l) == 0 || l[len(l)-1] != pol {
				g.byService[key] = append(l, pol)
			}
		}
	}
}

// targetSelects selects the workloads of services of a namespace ("" for all),
// of the whole of it if names is empty.
func targetSelects(namespace string, names map[string]bool) func(*entry, []*serviceObject) bool {
	return func(e *entry, services []*serviceObject) bool {
		if namespace != "" && namespace != e.Namespace {
			return false
		}
		if len(names) == 0 {
			return true
		}
		for _, s := range services {
			if names[s.Name] {
				return true
			}
		}
		return false
	}
}

// undecodableSelects reads what it can of the selector of an object that could
// not be decoded; what it cannot read selects everything in its reach.
func undecodableSelects(u *unstructured.Unstructured) func(*entry, []*serviceObject) bool {
	ns := u.GetNamespace()
	if u.GroupVersionKind().Group == authentication {
		names := map[string]bool{}
		targets, _, err := unstructured.NestedSlice(u.Object, "spec", "targets")
		for _, t := range targets {
			m, _ := t.(map[string]any)
			name, ok := m["name"].(string)
			if !ok || err != nil {
				return targetSelects(ns, nil)
			}
			names[name] = true
		}
		return targetSelects(ns, names)
	}
	if ns == rootNamespace {
		ns = ""
	}
	labels, _, err := unstructured.NestedStringMap(u.Object, "spec", "selector", "matchLabels")
	if err != nil {
		labels = nil
	}
	s := selection{namespace: ns, labels: labels}
	return s.selects
}

// secure gathers what guards a workload.
func (p *pass) secure(e *entry) *mesh.Security {
	services := p.selectedBy[e.ref]
	deps := []any{e.WorkloadEntry}
	m := match{ports: e.inbound()}
	for _, r := range p.guards.requests {
		if r.selects(e, services) {
			m.requests = append(m.requests, r)
			deps = append(deps, r)
		}
	}
	for _, a := range p.guards.authorizations {
		if a.selects(e, services) {
			m.authorizations = append(m.authorizations, a)
			deps = append(deps, a)
		}
	}
	for _, a := range p.guards.peers {
		if a.selects(e, services) {
			m.peers = append(m.peers, a)
			deps = append(deps, a)
		}
	}
	for _, b := range p.guards.broken {
		if b.selects(e, services) {
			m.denied = append(m.denied, b.Denial)
			deps = append(deps, b.Denial)
		}
	}
	for _, s := range services {
		l := p.guards.byService[s.Namespace+"/"+s.Name]
		m.targets = append(m.targets, target{s, l})
		deps = append(deps, s.Service)
		for _, pol := range l {
			deps = append(deps, pol)
		}
	}
	m.namespace, m.mesh = p.guards.byNamespace[e.Namespace], p.guards.mesh
	deps = append(deps, m.namespace, m.mesh)
	s := p.securities.Get(e.ref, deps, m.security)
	p.warnBinding(s)
	p.contests.hold(&m)
	return s
}
