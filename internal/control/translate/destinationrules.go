package translate

import (
	"sort"
	"strings"

	networkingv1 "istio.io/client-go/pkg/apis/networking/v1"

	"github.com/usher-mesh/usher/internal/mesh"
)

// destinationRule is a DestinationRule by itself.
type destinationRule struct {
	ref     mesh.Ref
	subsets []mesh.Subset
	tls     mesh.ClientTLS
	traffic mesh.Traffic
	verdict verdict

	object *networkingv1.DestinationRule
}

// usedRule are the fields that have effect.
var usedRule = func() map[string]bool {
	used := set("host", "subsets.name", "subsets.labels")
	for _, at := range []string{"trafficPolicy.", "subsets.trafficPolicy."} {
		used[at+"portLevelSettings.port"] = true
		for _, f := range usedTraffic {
			used[at+f], used[at+"portLevelSettings."+f] = true, true
		}
	}
	return used
}()

func (p *pass) readDestinationRules() {
	p.rulesOf = map[string][]*destinationRule{}
	for _, o := range p.in.DestinationRules {
		ref := refOf(networking, "DestinationRule", o)
		r := p.rules.Get(ref, []any{o}, func() *destinationRule { return translateRule(ref, o) })
		p.found.report(ref, o, &r.verdict)
		host := p.names.resolve(o.Spec.Host, o.Namespace)
		p.rulesOf[host] = append(p.rulesOf[host], r)
		if !p.names.known[host] {
			p.found.warn(ref, "spec.host: there is no service %q", host)
		} else if ns := namespaceOf(host); ns != o.Namespace && o.Namespace != rootNamespace {
			p.found.warn(ref, "spec.host: a rule outside the namespace of its service (%s) has no effect yet", ns)
		}
	}
}

func translateRule(ref mesh.Ref, o *networkingv1.DestinationRule) *destinationRule {
	r := &destinationRule{ref: ref, object: o}
	r.tls = clientTLS(o.Spec.TrafficPolicy, "spec.trafficPolicy", mesh.ClientTLS{}, &r.verdict)
	r.traffic = traffic(o.Spec.TrafficPolicy, "spec.trafficPolicy", &r.verdict)
	for _, s := range o.Spec.Subsets {
		at := "spec.subsets[" + s.Name + "].trafficPolicy"
		r.subsets = append(r.subsets, mesh.Subset{
			Name: s.Name, Labels: s.Labels,
			TLS: clientTLS(s.TrafficPolicy, at, r.tls, &r.verdict), Traffic: traffic(s.TrafficPolicy, at, &r.verdict),
		})
	}
	for _, f := range ignored(&o.Spec, usedRule) {
		r.verdict.warn("spec.%s has no effect yet", f)
	}
	return r
}

func namespaceOf(host string) string {
	_, rest, _ := strings.Cut(host, ".")
	ns, _, _ := strings.Cut(rest, ".")
	return ns
}

// rulesFor gives the rules for a service, the oldest first: those of its own
// namespace, else those of the root namespace.
func (p *pass) rulesFor(o *serviceObject) []*destinationRule {
	var own, root []*destinationRule
	for _, r := range p.rulesOf[o.hostname] {
		switch r.ref.Namespace {
		case o.Namespace:
			own = append(own, r)
		case rootNamespace:
			root = append(root, r)
		}
	}
	if len(own) == 0 {
		own = root
	}
	sort.SliceStable(own, func(i, j int) bool { return older(own[i].object, own[j].object) })
	return own
}

// applyRules joins the rules: the oldest that has a traffic policy says how to
// connect, and of two subsets of one name the older counts.
func applyRules(d *mesh.Definition, rules []*destinationRule) {
	seen := map[string]bool{}
	said := false
	for _, r := range rules {
		if !said && r.object.Spec.TrafficPolicy != nil {
			d.TLS, d.Traffic, said = r.tls, r.traffic, true
		}
		d.Origins = append(d.Origins, r.ref)
		for _, s := range r.subsets {
			if s.Name != "" && !seen[s.Name] {
				seen[s.Name] = true
				d.Subsets = append(d.Subsets, s)
			}
		}
	}
	for i := range d.Subsets {
		d.Subsets[i].Traffic = inherit(d.Traffic, d.Subsets[i].Traffic)
	}
	sort.Slice(d.Subsets, func(i, j int) bool { return d.Subsets[i].Name < d.Subsets[j].Name })
	sortRefs(d.Origins)
}
