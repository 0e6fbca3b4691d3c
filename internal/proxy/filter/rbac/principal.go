package rbac

//lint:file-ignore SA1019 Envoy still reads the fields that it has deprecated, and control planes send them.

import (
	rbacv3 "github.com/envoyproxy/go-control-plane/envoy/config/rbac/v3"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/match"
	"github.com/usher-mesh/usher/internal/proxy/strict"
)

// compilePrincipal compiles who asks.
func compilePrincipal(m *rbacv3.Principal, depth int) (matcher, error) {
	if depth > maxDepth {
		return nil, strict.Errorf("", "nested deeper than %d", maxDepth)
	}
	if err := strict.Only(m, "and_ids", "or_ids", "any", "authenticated", "source_ip", "direct_remote_ip", "remote_ip",
		"header", "url_path", "metadata", "not_id", "sourced_metadata"); err != nil {
		return nil, err
	}
	switch i := m.GetIdentifier().(type) {
	case *rbacv3.Principal_AndIds:
		return combine("and_ids.ids", i.AndIds.GetIds(), allOf, compilePrincipal, depth)
	case *rbacv3.Principal_OrIds:
		return combine("or_ids.ids", i.OrIds.GetIds(), anyOf, compilePrincipal, depth)
	case *rbacv3.Principal_NotId:
		c, err := compilePrincipal(i.NotId, depth+1)
		return negate("not_id", c, err)
	case *rbacv3.Principal_Any:
		return constant(i.Any)
	case *rbacv3.Principal_Authenticated_:
		return authenticated(i.Authenticated)
	case *rbacv3.Principal_SourceIp:
		return remote("source_ip", i.SourceIp)
	case *rbacv3.Principal_DirectRemoteIp:
		return direct("direct_remote_ip", i.DirectRemoteIp)
	case *rbacv3.Principal_RemoteIp:
		return remote("remote_ip", i.RemoteIp)
	case *rbacv3.Principal_Header:
		return header(i.Header)
	case *rbacv3.Principal_UrlPath:
		return urlPath(i.UrlPath)
	case *rbacv3.Principal_Metadata:
		return metadata("metadata", i.Metadata)
	case *rbacv3.Principal_SourcedMetadata:
		return sourcedMetadata(i.SourcedMetadata)
	}
	return nil, strict.Errorf("identifier", "missing")
}

// authenticated compares the peer's URI SANs, else its DNS SANs, else its
// subject. Without a name any TLS peer will do. A peer for which another authority
// than the mesh's vouches has no name here.
func authenticated(m *rbacv3.Principal_Authenticated) (matcher, error) {
	if err := strict.Only(m, "principal_name"); err != nil {
		return nil, strict.At("authenticated", err)
	}
	if m.GetPrincipalName() == nil {
		return func(x *exchange.Exchange) bool { return x.Conn.TLS }, nil
	}
	s, err := match.CompileString(m.GetPrincipalName())
	if err != nil {
		return nil, strict.At("authenticated.principal_name", err)
	}
	return func(x *exchange.Exchange) bool {
		cert := x.Conn.Peer
		switch {
		case cert == nil, x.Conn.Foreign:
			return false
		case x.Conn.PeerURI != "": // the only one there is
			return s(x.Conn.PeerURI)
		case len(cert.URIs) > 0:
			for _, u := range cert.URIs {
				if s(u.String()) {
					return true
				}
			}
			return false
		case len(cert.DNSNames) > 0:
			for _, n := range cert.DNSNames {
				if s(n) {
					return true
				}
			}
			return false
		}
		return s(cert.Subject.String())
	}, nil
}
