package translate

import (
	"fmt"
	"sort"
	"strings"

	networkingapi "istio.io/api/networking/v1alpha3"
	networkingv1 "istio.io/client-go/pkg/apis/networking/v1"

	"github.com/usher-mesh/usher/internal/mesh"
)

// virtualService is a VirtualService by itself.
type virtualService struct {
	*mesh.VirtualService
	verdict verdict
	object  *networkingv1.VirtualService
}

const meshGateway = "mesh"

// usedVirtualService are the fields that have effect.
var usedVirtualService = set("hosts", "gateways", "exportTo", "http.name",
	"http.match.name", "http.match.uri", "http.match.scheme", "http.match.method", "http.match.authority",
	"http.match.headers", "http.match.queryParams", "http.match.withoutHeaders", "http.match.ignoreUriCase",
	"http.match.port", "http.match.sourceLabels", "http.match.sourceNamespace", "http.match.gateways",
	"http.route.destination", "http.route.weight", "http.route.headers", "http.redirect.uri", "http.redirect.authority",
	"http.fault.delay.fixedDelay", "http.fault.delay.percent", "http.fault.delay.percentage",
	"http.fault.abort.httpStatus", "http.fault.abort.grpcStatus", "http.fault.abort.percentage",
	"http.redirect.redirectCode", "http.redirect.scheme", "http.redirect.port",
	"http.directResponse.status", "http.directResponse.body.string",
	"http.rewrite.uri", "http.rewrite.authority", "http.timeout", "http.retries.attempts",
	"http.retries.perTryTimeout", "http.retries.retryOn", "http.headers",
	"http.mirror", "http.mirrorPercent", "http.mirrorPercentage", "http.mirrors.destination", "http.mirrors.percentage")

func (p *pass) readVirtualServices() {
	var all []*virtualService
	for _, o := range p.in.VirtualServices {
		ref := refOf(networking, "VirtualService", o)
		deps := []any{o}
		if namesServices(&o.Spec) {
			deps = append(deps, p.names)
		}
		n := p.names
		v := p.virtualServices.Get(ref, deps, func() *virtualService { return translateVirtual(ref, o, n) })
		p.found.report(ref, o, &v.verdict)
		all = append(all, v)
		p.checkVirtual(v)
	}
	sort.SliceStable(all, func(i, j int) bool { return older(all[i].object, all[j].object) })
	for _, v := range all {
		p.out.VirtualServices = append(p.out.VirtualServices, v.VirtualService)
	}
}

// namesServices tells whether what the object means depends on which services
// there are.
func namesServices(s *networkingapi.VirtualService) bool {
	for _, h := range s.Hosts {
		if mayBeShort(h) {
			return true
		}
	}
	for _, h := range s.Http {
		for _, r := range h.Route {
			if mayBeShort(r.GetDestination().GetHost()) {
				return true
			}
		}
		if mayBeShort(h.GetMirror().GetHost()) {
			return true
		}
		for _, m := range h.Mirrors {
			if mayBeShort(m.GetDestination().GetHost()) {
				return true
			}
		}
	}
	return false
}

func (p *pass) checkDestination(v *virtualService, d *mesh.Destination, path, so string) {
	s := p.out.Service(d.Host)
	switch {
	case s == nil:
		p.found.warn(v.Ref, "%s.host: there is no service %q: %s", path, d.Host, so)
	case d.Port != 0 && s.Port(d.Port) < 0:
		p.found.warn(v.Ref, "%s.port: %s has no port %d: %s", path, d.Host, d.Port, so)
	case d.Port == 0 && len(s.Ports) > 1:
		p.found.warn(v.Ref, "%s.port: %s has several ports: the one that the request came to is used", path, d.Host)
	}
	if s != nil && d.Subset != "" && !hasSubset(s, d.Subset) {
		p.found.warn(v.Ref, "%s.subset: no DestinationRule gives %s a subset %q: %s", path, d.Host, d.Subset, so)
	}
}

// checkVirtual warns of what the object names and there is not.
func (p *pass) checkVirtual(v *virtualService) {
	for i, r := range v.Routes {
		for j := range r.Destinations {
			p.checkDestination(v, &r.Destinations[j], fmt.Sprintf("spec.http[%d].route[%d].destination", i, j), "such requests get 503")
		}
		for j := range r.Mirrors {
			p.checkDestination(v, &r.Mirrors[j].Destination, fmt.Sprintf("spec.http[%d].mirrors[%d]", i, j), "nothing is mirrored")
		}
	}
	for _, g := range v.Gateways {
		ns, name, _ := strings.Cut(g, "/")
		if p.out.Gateway(ns, name) == nil {
			p.found.warn(v.Ref, "spec.gateways: there is no Gateway %q", g)
		}
	}
}

func hasSubset(s *mesh.Service, name string) bool {
	for _, sub := range s.Subsets {
		if sub.Name == name {
			return true
		}
	}
	return false
}

func translateVirtual(ref mesh.Ref, o *networkingv1.VirtualService, n *names) *virtualService {
	v := &virtualService{object: o, VirtualService: &mesh.VirtualService{Ref: ref, Namespace: o.Namespace}}
	for _, h := range o.Spec.Hosts {
		v.Hosts = append(v.Hosts, n.resolve(h, o.Namespace))
	}
	v.Gateways, v.Mesh = gatewayNames(o.Spec.Gateways, o.Namespace)
	if len(o.Spec.Gateways) == 0 {
		v.Mesh = true
	}
	for _, e := range o.Spec.ExportTo {
		switch e {
		case "*":
			v.Namespaces = nil
		case ".":
			v.Namespaces = append(v.Namespaces, o.Namespace)
		case "~":
			v.Namespaces = append(v.Namespaces, "~")
		default:
			v.Namespaces = append(v.Namespaces, e)
		}
	}
	for i, r := range o.Spec.Http {
		v.Routes = append(v.Routes, v.route(r, n, fmt.Sprintf("spec.http[%d]", i)))
	}
	for _, f := range ignored(&o.Spec, usedVirtualService) {
		v.verdict.warn("spec.%s has no effect yet", f)
	}
	if v.verdict.refused() {
		v.Routes, v.Refused = nil, true
	}
	return v
}

// gatewayNames gives "namespace/name" of each, and whether "mesh" is among them.
func gatewayNames(in []string, namespace string) (out []string, inMesh bool) {
	for _, g := range in {
		switch {
		case g == meshGateway:
			inMesh = true
		case strings.Contains(g, "/"):
			out = append(out, g)
		default: // also name.namespace.svc..., as Istio once had it
			name, rest, ok := strings.Cut(g, ".")
			ns := namespace
			if ok {
				ns, _, _ = strings.Cut(rest, ".")
			}
			out = append(out, ns+"/"+name)
		}
	}
	return out, inMesh
}
