package rbac

//lint:file-ignore SA1019 Envoy still reads the fields that it has deprecated, and control planes send them.

import (
	rbacv3 "github.com/envoyproxy/go-control-plane/envoy/config/rbac/v3"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/match"
	"github.com/usher-mesh/usher/internal/proxy/strict"
)

// compilePermission compiles what is asked for.
func compilePermission(m *rbacv3.Permission, depth int) (matcher, error) {
	if depth > maxDepth {
		return nil, strict.Errorf("", "nested deeper than %d", maxDepth)
	}
	if err := strict.Only(m, "and_rules", "or_rules", "any", "header", "url_path", "destination_ip", "destination_port",
		"destination_port_range", "metadata", "not_rule", "requested_server_name", "uri_template", "sourced_metadata"); err != nil {
		return nil, err
	}
	switch r := m.GetRule().(type) {
	case *rbacv3.Permission_AndRules:
		return combine("and_rules.rules", r.AndRules.GetRules(), allOf, compilePermission, depth)
	case *rbacv3.Permission_OrRules:
		return combine("or_rules.rules", r.OrRules.GetRules(), anyOf, compilePermission, depth)
	case *rbacv3.Permission_NotRule:
		c, err := compilePermission(r.NotRule, depth+1)
		return negate("not_rule", c, err)
	case *rbacv3.Permission_Any:
		return constant(r.Any)
	case *rbacv3.Permission_Header:
		return header(r.Header)
	case *rbacv3.Permission_UrlPath:
		return urlPath(r.UrlPath)
	case *rbacv3.Permission_Metadata:
		return metadata("metadata", r.Metadata)
	case *rbacv3.Permission_SourcedMetadata:
		return sourcedMetadata(r.SourcedMetadata)
	case *rbacv3.Permission_DestinationIp:
		p, err := compilePrefix(r.DestinationIp)
		return func(x *exchange.Exchange) bool { return p.Contains(x.Conn.Local.Addr().Unmap()) }, strict.At("destination_ip", err)
	case *rbacv3.Permission_DestinationPort:
		if r.DestinationPort > 65535 {
			return nil, strict.Errorf("destination_port", "%d is no port", r.DestinationPort)
		}
		return func(x *exchange.Exchange) bool { return uint32(x.Conn.Local.Port()) == r.DestinationPort }, nil
	case *rbacv3.Permission_DestinationPortRange:
		from, to := r.DestinationPortRange.GetStart(), r.DestinationPortRange.GetEnd()
		if from < 0 || from >= to || to > 65536 {
			return nil, strict.Errorf("destination_port_range", "[%d, %d) is no range of ports", from, to)
		}
		return func(x *exchange.Exchange) bool { p := int32(x.Conn.Local.Port()); return p >= from && p < to }, nil
	case *rbacv3.Permission_RequestedServerName:
		s, err := match.CompileString(r.RequestedServerName)
		return func(x *exchange.Exchange) bool { return s(x.Conn.SNI) }, strict.At("requested_server_name", err)
	case *rbacv3.Permission_UriTemplate:
		t, err := match.CompileTemplate(r.UriTemplate)
		return func(x *exchange.Exchange) bool { return t.Match(match.CutPath(x.Request.Path)) }, strict.At("uri_template", err)
	}
	return nil, strict.Errorf("rule", "missing")
}
