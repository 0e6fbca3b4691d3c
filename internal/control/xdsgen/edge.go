package xdsgen

import (
	"fmt"
	"net/netip"
	"sort"
	"strings"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	tlsinspectorv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/listener/tls_inspector/v3"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/usher-mesh/usher/internal/mesh"
)

// edgeServer is a server of a Gateway object that this proxy opens.
type edgeServer struct {
	*mesh.GatewayConfig
	mesh.Server
}

func (s *edgeServer) gateway() string { return s.GatewayConfig.Namespace + "/" + s.GatewayConfig.Name }

// edge makes what a gateway needs: a listener for each port that Gateway objects
// which select it open, with their routes and certificates.
func (g *Generator) edge(m *mesh.Model, p *mesh.Proxy, w *mesh.Workload) []*Resource {
	ports := map[uint16][]edgeServer{}
	deps := []any{m.Settings, w.Security, w.Ref, p.GatewayBind, fmt.Sprint(p.GatewayPorts)}
	deps = append(deps, g.shared.definitions...)
	for _, gw := range m.Gateways {
		if !mesh.Selects(gw.Selector, w.Labels) {
			continue
		}
		deps = append(deps, gw)
		for _, s := range gw.Servers {
			ports[s.Port] = append(ports[s.Port], edgeServer{gw, s})
		}
	}
	for _, v := range m.VirtualServices {
		if len(v.Gateways) > 0 {
			deps = append(deps, v)
		}
	}
	out := append([]*Resource(nil), g.edges.Get(p.Namespace+"/"+p.Name, deps, func() []*Resource {
		numbers := make([]int, 0, len(ports))
		for n := range ports {
			numbers = append(numbers, int(n))
		}
		sort.Ints(numbers)
		var out []*Resource
		for _, n := range numbers {
			out = append(out, edgePort(m, p, w, uint16(n), ports[uint16(n)])...)
		}
		return out
	})...)
	return append(out, g.edgeSecrets(m, p, ports)...)
}

// edgePort makes one port's listener and routes.
func edgePort(m *mesh.Model, p *mesh.Proxy, w *mesh.Workload, port uint16, servers []edgeServer) []*Resource {
	name := fmt.Sprintf("gateway_%d", port)
	bind := p.GatewayBind
	if !bind.IsValid() {
		bind = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	l := &listenerv3.Listener{
		Name: name, Address: address(netip.AddrPortFrom(bind, p.GatewayPorts[port])),
		TrafficDirection: corev3.TrafficDirection_OUTBOUND,
	}
	origins := originsOf(w.Security, w.Ref)
	at := &place{port}
	var out []*Resource
	chain := func(c *listenerv3.FilterChain, route string, list []edgeServer) {
		cfg, refs := edgeRoutes(m, route, port, list)
		out = append(out, newResource(RouteType, route, cfg, refs...))
		c.Filters = []*listenerv3.Filter{(&manager{
			stat: name, routes: overRDS(route), edge: true, guards: guardsOf(w.Security, at),
			mtls: list[0].Server.TLS != nil && list[0].Server.TLS.Mutual,
		}).filter()}
		l.FilterChains = append(l.FilterChains, c)
	}
	var clear []edgeServer
	names := map[string]bool{}
	for _, s := range servers {
		origins = append(origins, s.Ref)
		if s.Server.TLS == nil {
			clear = append(clear, s)
			continue
		}
		match := &listenerv3.FilterChainMatch{TransportProtocol: "tls"}
		for _, h := range s.Server.Hosts {
			if h != "*" && !names[h] {
				match.ServerNames = append(match.ServerNames, h)
			}
		}
		all := contains(s.Server.Hosts, "*")
		if all {
			match.ServerNames = nil
		}
		if all && names["*"] || !all && len(match.ServerNames) == 0 {
			continue // an older server has these names
		}
		for _, h := range s.Server.Hosts {
			names[h] = true
		}
		chain(&listenerv3.FilterChain{
			Name: s.gateway() + "/" + fmt.Sprint(s.Server.Index), FilterChainMatch: match,
			TransportSocket: edgeTLS(s.Server.TLS, p.Namespace),
		}, fmt.Sprintf("%s.%s.%s.%d", name, s.GatewayConfig.Namespace, s.GatewayConfig.Name, s.Server.Index), []edgeServer{s})
	}
	if len(clear) > 0 {
		c := &listenerv3.FilterChain{Name: "clear"}
		if len(l.FilterChains) > 0 {
			c.FilterChainMatch = &listenerv3.FilterChainMatch{TransportProtocol: "raw_buffer"}
		}
		chain(c, name, clear)
	}
	if len(names) > 0 {
		l.ListenerFiltersTimeout = durationpb.New(5 * time.Second)
		l.ListenerFilters = []*listenerv3.ListenerFilter{{
			Name:       "envoy.filters.listener.tls_inspector",
			ConfigType: &listenerv3.ListenerFilter_TypedConfig{TypedConfig: pack(&tlsinspectorv3.TlsInspector{})},
		}}
	}
	return append(out, newResource(ListenerType, name, l, origins...))
}

func contains(list []string, s string) bool {
	for _, e := range list {
		if e == s {
			return true
		}
	}
	return false
}

// edgeRoutes makes the virtual hosts of a port: those of the VirtualServices that
// are bound to its servers, the oldest first.
func edgeRoutes(m *mesh.Model, name string, port uint16, servers []edgeServer) (*routev3.RouteConfiguration, []mesh.Ref) {
	byHost := map[string][]*routev3.Route{}
	var order []string
	var refs []mesh.Ref
	for _, s := range servers {
		refs = append(refs, s.Ref)
		for _, v := range m.VirtualServices {
			if !contains(v.Gateways, s.gateway()) {
				continue
			}
			w := &where{model: m, gateway: s.gateway(), port: port}
			for _, h := range boundHosts(v, &s.Server) {
				if _, ok := byHost[h]; !ok {
					order = append(order, h)
				}
				if s.Server.HTTPSRedirect {
					byHost[h] = []*routev3.Route{httpsRedirect()}
				} else {
					byHost[h] = append(byHost[h], w.virtualRoutes(v)...)
				}
				refs = append(append(refs, v.Ref), w.rules(v)...)
			}
		}
	}
	sort.Strings(order)
	cfg := &routev3.RouteConfiguration{Name: name}
	for _, h := range order {
		domains := []string{h}
		if !strings.HasPrefix(h, "*") {
			domains = append(domains, h+":*")
		}
		cfg.VirtualHosts = append(cfg.VirtualHosts, &routev3.VirtualHost{
			Name: fmt.Sprintf("%s:%d", h, port), Domains: domains, Routes: byHost[h],
		})
	}
	return longAnswers(cfg), refs
}

func httpsRedirect() *routev3.Route {
	return &routev3.Route{Match: routeMatch(nil), Action: &routev3.Route_Redirect{Redirect: &routev3.RedirectAction{
		SchemeRewriteSpecifier: &routev3.RedirectAction_HttpsRedirect{HttpsRedirect: true},
	}}}
}

// boundHosts are the hosts that a VirtualService has on a server: of two names of
// which one covers the other, the narrower.
func boundHosts(v *mesh.VirtualService, s *mesh.Server) []string {
	var out []string
	add := func(h string) {
		if !contains(out, h) {
			out = append(out, h)
		}
	}
	for _, h := range v.Hosts {
		for i, sh := range s.Hosts {
			if ns := s.HostNamespaces[i]; ns != "*" && ns != v.Namespace {
				continue
			}
			switch {
			case covers(sh, h):
				add(h)
			case covers(h, sh):
				add(sh)
			}
		}
	}
	return out
}

// covers tells whether a name, perhaps with a star in front, has another in it.
func covers(wide, narrow string) bool {
	if end, ok := strings.CutPrefix(wide, "*"); ok {
		return strings.HasSuffix(narrow, end)
	}
	return wide == narrow
}
