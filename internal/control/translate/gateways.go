package translate

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	networkingapi "istio.io/api/networking/v1alpha3"
	networkingv1 "istio.io/client-go/pkg/apis/networking/v1"

	"github.com/usher-mesh/usher/internal/mesh"
)

// gateway is a Gateway by itself.
type gateway struct {
	*mesh.GatewayConfig
	verdict verdict
}

var usedGateway = set("selector", "servers.port.number", "servers.port.name", "servers.port.protocol",
	"servers.port.targetPort", "servers.hosts", "servers.name", "servers.tls")

func (p *pass) readGateways() {
	for _, o := range p.in.Gateways {
		ref := refOf(networking, "Gateway", o)
		g := p.Translator.gateways.Get(ref, []any{o}, func() *gateway { return translateGateway(ref, o) })
		p.found.report(ref, o, &g.verdict)
		p.out.Gateways = append(p.out.Gateways, g.GatewayConfig)
		p.checkGateway(g)
	}
}

// checkGateway warns of a selector that selects nothing, and of certificates that
// are not where the gateway may have them: in the namespace that it runs in.
func (p *pass) checkGateway(g *gateway) {
	namespaces := map[string]bool{}
	for _, w := range p.out.Workloads {
		if mesh.Selects(g.Selector, w.Labels) {
			namespaces[w.Namespace] = true
		}
	}
	if len(namespaces) == 0 {
		p.found.warn(g.Ref, "spec.selector: no workload has these labels")
	}
	for _, s := range g.Servers {
		if s.TLS == nil {
			continue
		}
		for _, ns := range slices.Sorted(maps.Keys(namespaces)) {
			if !p.hasCertificate(ns, s.TLS.Credential) {
				p.found.warn(g.Ref, "spec.servers[%d].tls.credentialName: namespace %s has no Secret %s with a certificate and its key; TLS connections are closed until it has",
					s.Index, ns, s.TLS.Credential)
			}
		}
	}
}

func (p *pass) hasCertificate(namespace, name string) bool {
	return slices.ContainsFunc(p.out.Secrets, func(s *mesh.Secret) bool {
		return s.Namespace == namespace && s.Name == name && len(s.Cert) > 0 && len(s.Key) > 0
	})
}

func translateGateway(ref mesh.Ref, o *networkingv1.Gateway) *gateway {
	g := &gateway{GatewayConfig: &mesh.GatewayConfig{
		Ref: ref, Namespace: o.Namespace, Name: o.Name, Selector: o.Spec.Selector,
	}}
	for i, in := range o.Spec.Servers {
		path := fmt.Sprintf("spec.servers[%d]", i)
		s, ok := translateServer(in, o.Namespace, path, &g.verdict)
		s.Index = i
		if ok {
			g.Servers = append(g.Servers, s)
		}
	}
	for _, f := range ignored(&o.Spec, usedGateway) {
		g.verdict.warn("spec.%s has no effect yet", f)
	}
	return g
}

// translateServer is false for a server that cannot be opened: it stays closed.
func translateServer(in *networkingapi.Server, namespace, path string, v *verdict) (mesh.Server, bool) {
	s := mesh.Server{PortName: in.GetPort().GetName(), HTTPSRedirect: in.GetTls().GetHttpsRedirect()}
	n := in.GetPort().GetNumber()
	if n == 0 || n > 65535 {
		v.refuse(reasonInvalid, "%s.port.number: %d is not a port", path, n)
		return s, false
	}
	s.Port = uint16(n)
	switch strings.ToUpper(in.GetPort().GetProtocol()) {
	case "HTTP", "GRPC-WEB":
		s.Protocol = "http"
	case "HTTP2":
		s.Protocol = "http2"
	case "GRPC":
		s.Protocol = "grpc"
	case "HTTPS":
		s.Protocol = "https"
	default:
		v.refuse(reasonUnsupported, "%s.port.protocol: %s is not supported yet", path, in.GetPort().GetProtocol())
		return s, false
	}
	for _, h := range in.GetHosts() {
		ns, host, ok := strings.Cut(h, "/")
		if !ok {
			ns, host = "*", h
		}
		if ns == "." {
			ns = namespace
		}
		s.Hosts, s.HostNamespaces = append(s.Hosts, strings.ToLower(host)), append(s.HostNamespaces, ns)
	}
	var ok bool
	s.TLS, ok = serverTLS(in, s.Protocol == "https", path+".tls", v)
	return s, ok
}
