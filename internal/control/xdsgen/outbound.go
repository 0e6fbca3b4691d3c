package xdsgen

import (
	"fmt"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/usher-mesh/usher/internal/mesh"
)

// outboundName names the listener and the routes of the applications' own calls.
const outboundName = "outbound"

// outboundRoutes makes the routes of a proxy's namespace, and the map that all
// proxies with the same ones share.
func (g *Generator) outboundRoutes(m *mesh.Model, p *mesh.Proxy) (*Resource, map[string]*Resource) {
	key := p.Namespace
	if g.shared.bySourceLabels {
		key += "\x00" + labelText(p.Labels)
	}
	if scope, ok := g.shared.routes[key]; ok {
		return scope[outboundName], scope
	}
	deps := append([]any{m.Settings}, g.shared.definitions...)
	deps = append(deps, g.shared.meshServices...)
	r := g.outbound.Get(key, deps, func() *Resource { return outboundConfig(m, p) })
	scope := g.scopes.Get(key, []any{r}, func() map[string]*Resource { return map[string]*Resource{outboundName: r} })
	g.shared.routes[key] = scope
	return r, scope
}

func outboundConfig(m *mesh.Model, p *mesh.Proxy) *Resource {
	b := &hostTable{taken: map[string]bool{}}
	visible := visibleServices(m, p.Namespace)
	for _, s := range m.Services {
		v := bestFor(visible, s.Hostname)
		if v != nil {
			b.origins = append(b.origins, v.Ref)
		}
		b.origins = append(b.origins, s.Origins...)
		def := defaultPort(s)
		for _, port := range s.Ports {
			w := &where{m, meshGateway, port.Port, p.Namespace, p.Labels}
			routes := []*routev3.Route{w.route(&mesh.HTTPRoute{
				Name: "default", Destinations: []mesh.Destination{{Host: s.Hostname, Port: port.Port, Weight: 1}},
			}, nil)}
			if v != nil {
				routes = w.virtualRoutes(v)
			}
			b.add(fmt.Sprintf("%s:%d", s.Hostname, port.Port), domains(s, port.Port, p.Namespace, port.Port == def), routes)
		}
	}
	for _, v := range visible {
		for _, h := range v.Hosts {
			if m.Service(h) != nil || h == "*" {
				continue
			}
			w := &where{m, meshGateway, 80, p.Namespace, p.Labels}
			b.origins = append(b.origins, v.Ref)
			b.add(h+":80", []string{h, h + ":80"}, w.virtualRoutes(v))
		}
	}
	b.hosts = append(b.hosts, unknownHosts(m.Settings.OutboundAny))
	return newResource(RouteType, outboundName, longAnswers(&routev3.RouteConfiguration{Name: outboundName, VirtualHosts: b.hosts}), b.origins...)
}

// hostTable gathers virtual hosts whose domains must not repeat.
type hostTable struct {
	hosts   []*routev3.VirtualHost
	taken   map[string]bool
	origins []mesh.Ref
}

func (b *hostTable) add(name string, domains []string, routes []*routev3.Route) {
	var free []string
	for _, d := range domains {
		if !b.taken[d] && (!strings.HasPrefix(d, "*") || !strings.HasSuffix(d, ":80")) {
			b.taken[d] = true
			free = append(free, d)
		}
	}
	if len(free) > 0 {
		b.hosts = append(b.hosts, &routev3.VirtualHost{Name: name, Domains: free, Routes: routes})
	}
}

// visibleServices are the VirtualServices for sidecars of a namespace, the
// oldest first.
func visibleServices(m *mesh.Model, namespace string) []*mesh.VirtualService {
	var out []*mesh.VirtualService
	for _, v := range m.VirtualServices {
		if v.Mesh && v.VisibleTo(namespace) && (len(v.Routes) > 0 || v.Refused) {
			out = append(out, v)
		}
	}
	return out
}

// bestFor finds the VirtualService for a host: the most exact name, then the
// oldest.
func bestFor(list []*mesh.VirtualService, host string) *mesh.VirtualService {
	var best *mesh.VirtualService
	length := -1
	for _, v := range list {
		for _, h := range v.Hosts {
			if h == host {
				return v
			}
			if end, ok := strings.CutPrefix(h, "*"); ok && strings.HasSuffix(host, end) && len(end) > length {
				best, length = v, len(end)
			}
		}
	}
	return best
}

// defaultPort is the one of a URL without port: 80, else the service's first.
func defaultPort(s *mesh.Service) uint16 {
	if s.Port(80) >= 0 || len(s.Ports) == 0 {
		return 80
	}
	return s.Ports[0].Port
}

// domains are all the names by which a proxy of the namespace calls a service.
func domains(s *mesh.Service, port uint16, namespace string, bare bool) []string {
	names := []string{s.Hostname}
	if s.Short {
		if s.Namespace == namespace {
			names = append(names, s.Name)
		}
		long := s.Name + "." + s.Namespace
		names = append(names, long, long+".svc")
	}
	var out []string
	for _, n := range names {
		if bare {
			out = append(out, n)
		}
		out = append(out, fmt.Sprintf("%s:%d", n, port))
	}
	return out
}

// unknownHosts is the last virtual host.
func unknownHosts(any bool) *routev3.VirtualHost {
	if !any {
		return &routev3.VirtualHost{Name: "block_all", Domains: []string{"*"}, Routes: []*routev3.Route{{
			Match:  routeMatch(nil),
			Action: &routev3.Route_DirectResponse{DirectResponse: &routev3.DirectResponseAction{Status: 502}},
		}}}
	}
	return &routev3.VirtualHost{Name: "allow_any", Domains: []string{"*"}, Routes: []*routev3.Route{{
		Match: routeMatch(nil),
		Action: &routev3.Route_Route{Route: &routev3.RouteAction{
			ClusterSpecifier: &routev3.RouteAction_Cluster{Cluster: passthrough}, Timeout: durationpb.New(0),
		}},
	}}}
}

func (g *Generator) outboundListener(p *mesh.Proxy, _ *Resource) *Resource {
	key := p.Namespace + "/" + p.Name + "/" + outboundName
	return g.inbound.Get(key, []any{p.Outbound}, func() []*Resource {
		l := &listenerv3.Listener{
			Name: outboundName, Address: address(p.Outbound), TrafficDirection: corev3.TrafficDirection_OUTBOUND,
			FilterChains: []*listenerv3.FilterChain{{Filters: []*listenerv3.Filter{
				(&manager{stat: outboundName, routes: overRDS(outboundName)}).filter(),
			}}},
			Metadata: usherMetadata(map[string]*structpb.Value{"http_proxy": structpb.NewBoolValue(true)}),
		}
		return []*Resource{newResource(ListenerType, outboundName, l)}
	})[0]
}

// usherMetadata is what usher-proxy alone reads.
func usherMetadata(f map[string]*structpb.Value) *corev3.Metadata {
	return &corev3.Metadata{FilterMetadata: map[string]*structpb.Struct{"usher": {Fields: f}}}
}
