package rbac

import (
	"net/netip"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	rbacv3 "github.com/envoyproxy/go-control-plane/envoy/config/rbac/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/match"
	"github.com/usher-mesh/usher/internal/proxy/strict"
)

// What permissions and principals both can ask.

func header(m *routev3.HeaderMatcher) (matcher, error) {
	h, err := match.CompileHeader(m)
	if err != nil {
		return nil, strict.At("header", err)
	}
	return h.Match, nil
}

func urlPath(m *matcherv3.PathMatcher) (matcher, error) {
	s, err := match.CompilePath(m)
	return func(x *exchange.Exchange) bool { return s(match.CutPath(x.Request.Path)) }, strict.At("url_path", err)
}

func metadata(path string, m *matcherv3.MetadataMatcher) (matcher, error) {
	c, err := match.CompileMetadata(m)
	if err != nil {
		return nil, strict.At(path, err)
	}
	return c.Match, nil
}

// sourcedMetadata: of its sources, the request's own metadata alone.
func sourcedMetadata(m *rbacv3.SourcedMetadata) (matcher, error) {
	if err := strict.Only(m, "metadata_matcher"); err != nil {
		return nil, strict.At("sourced_metadata", err)
	}
	return metadata("sourced_metadata.metadata_matcher", m.GetMetadataMatcher())
}

// remote compares the address of who connects. Addresses that headers tell are not
// believed, so two of Envoy's three kinds are this one.
func remote(path string, m *corev3.CidrRange) (matcher, error) {
	p, err := compilePrefix(m)
	return func(x *exchange.Exchange) bool { return p.Contains(x.Remote().Addr().Unmap().WithZone("")) }, strict.At(path, err)
}

// direct compares the address of the connection's other end, whomever that tells.
func direct(path string, m *corev3.CidrRange) (matcher, error) {
	p, err := compilePrefix(m)
	return func(x *exchange.Exchange) bool { return p.Contains(x.Conn.Direct.Addr().Unmap().WithZone("")) }, strict.At(path, err)
}

func compilePrefix(m *corev3.CidrRange) (netip.Prefix, error) {
	if err := strict.Only(m, "address_prefix", "prefix_len"); err != nil {
		return netip.Prefix{}, err
	}
	a, err := netip.ParseAddr(m.GetAddressPrefix())
	if err != nil || a.Zone() != "" || a.Is4In6() {
		return netip.Prefix{}, strict.Errorf("address_prefix", "%q is no address", m.GetAddressPrefix())
	}
	p, err := a.Prefix(int(m.GetPrefixLen().GetValue()))
	if err != nil {
		return netip.Prefix{}, strict.Errorf("prefix_len", "%d is too long", m.GetPrefixLen().GetValue())
	}
	return p, nil
}
