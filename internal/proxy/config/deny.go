package config

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"strings"

	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	rbacconfigv3 "github.com/envoyproxy/go-control-plane/envoy/config/rbac/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	rbacv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/rbac/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

// guard is a digest of what in a resource says who may pass; empty if nothing
// does. When a bad version of a resource would change it, serving the last good
// version could let through what is now forbidden: the resource denies instead.
type guard string

// guards tells by its type whether a filter may say who passes: all do but those
// that are known not to.
func guards(typeURL string) bool {
	for _, part := range []string{".cors.", ".router.", ".set_filter_state.", ".tcp_proxy."} {
		if strings.Contains(typeURL, part) {
			return false
		}
	}
	return true
}

func digest(parts []string) guard {
	if len(parts) == 0 {
		return ""
	}
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%d:%s", len(p), p)
	}
	return guard(h.Sum(nil))
}

func guardOfListener(m *listenerv3.Listener) guard {
	var parts []string
	for _, c := range chains(m) {
		if s := c.GetTransportSocket(); s != nil {
			parts = append(parts, "socket "+c.GetFilterChainMatch().String(), text(s))
		} else if len(c.GetFilters()) > 0 {
			parts = append(parts, "plain "+c.GetFilterChainMatch().String())
		}
		for _, f := range c.GetFilters() {
			h := manager(f)
			if h == nil {
				if guards(f.GetTypedConfig().GetTypeUrl()) {
					parts = append(parts, text(f))
				}
				continue
			}
			for _, hf := range h.GetHttpFilters() {
				if guards(hf.GetTypedConfig().GetTypeUrl()) {
					parts = append(parts, text(hf))
				}
			}
			if g := guardOfRoute(h.GetRouteConfig()); g != "" {
				parts = append(parts, string(g))
			}
		}
	}
	for _, f := range m.GetListenerFilters() { // they tell whose connection it is
		parts = append(parts, text(f))
	}
	if m.GetUseOriginalDst().GetValue() { // another listener may be the one that says
		parts = append(parts, "use_original_dst")
	}
	if u := m.GetMetadata().GetFilterMetadata()["usher"]; u != nil {
		parts = append(parts, text(u))
	}
	return digest(parts)
}

func guardOfRoute(m *routev3.RouteConfiguration) guard {
	var parts []string
	add := func(at string, f map[string]*anypb.Any) {
		for _, k := range slices.Sorted(maps.Keys(f)) {
			parts = append(parts, at, k, text(f[k]))
		}
	}
	add("table", m.GetTypedPerFilterConfig())
	for _, v := range m.GetVirtualHosts() {
		add("host "+strings.Join(v.GetDomains(), " "), v.GetTypedPerFilterConfig())
		for _, r := range v.GetRoutes() {
			if len(r.GetTypedPerFilterConfig()) > 0 {
				add("route "+text(r.GetMatch()), r.GetTypedPerFilterConfig())
			}
		}
	}
	return digest(parts)
}

func text(m proto.Message) string {
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// denyListener gives the listener with an RBAC filter before all others that
// allows nobody, in every chain. A chain that speaks no HTTP goes.
func denyListener(m *listenerv3.Listener) (*listenerv3.Listener, error) {
	nobody, err := anypb.New(&rbacv3.RBAC{Rules: &rbacconfigv3.RBAC{Action: rbacconfigv3.RBAC_ALLOW}})
	if err != nil {
		return nil, err
	}
	m = proto.CloneOf(m)
	first := &hcmv3.HttpFilter{Name: "usher.deny", ConfigType: &hcmv3.HttpFilter_TypedConfig{TypedConfig: nobody}}
	kept := m.GetFilterChains()[:0]
	for _, c := range m.GetFilterChains() {
		if denyChain(c, first) {
			kept = append(kept, c)
		}
	}
	m.FilterChains = kept
	if d := m.GetDefaultFilterChain(); d != nil && !denyChain(d, first) {
		m.DefaultFilterChain = nil
	}
	if len(chains(m)) == 0 {
		return nil, fmt.Errorf("no filter chain that speaks HTTP")
	}
	return m, nil
}

func denyChain(c *listenerv3.FilterChain, first *hcmv3.HttpFilter) bool {
	http := false
	for _, f := range c.GetFilters() {
		h := manager(f)
		if h == nil {
			continue
		}
		http = true
		h.HttpFilters = append([]*hcmv3.HttpFilter{first}, h.GetHttpFilters()...)
		a, err := anypb.New(h)
		if err != nil {
			return false
		}
		f.ConfigType = &listenerv3.Filter_TypedConfig{TypedConfig: a}
	}
	return http
}

// denyRoute gives a table that answers 403 to everything.
func denyRoute(name string) *routev3.RouteConfiguration {
	return &routev3.RouteConfiguration{Name: name, VirtualHosts: []*routev3.VirtualHost{{
		Name: "deny", Domains: []string{"*"},
		Routes: []*routev3.Route{{
			Match:  &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: "/"}},
			Action: &routev3.Route_DirectResponse{DirectResponse: &routev3.DirectResponseAction{Status: 403}},
		}},
	}}}
}

func same(a, b *anypb.Any) bool {
	return a.GetTypeUrl() == b.GetTypeUrl() && bytes.Equal(a.GetValue(), b.GetValue())
}
