package xdsgen

import (
	"strconv"
	"strings"

	rbacv3 "github.com/envoyproxy/go-control-plane/envoy/config/rbac/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"

	"github.com/usher-mesh/usher/internal/mesh"
)

// ruleBuilder makes RBAC policies for one port. Where the port is not HTTP, an
// ALLOW rule that asks for something of HTTP matches nothing, and in a DENY rule
// it is left out, so that it denies more, never less.
type ruleBuilder struct {
	place *place
	http  bool
	deny  bool
	never bool // the rule being built cannot match
}

// policy makes one rule; nil if it matches nothing.
func (b *ruleBuilder) policy(r *mesh.AuthorizationRule) *rbacv3.Policy {
	var who []*rbacv3.Principal
	var what []*rbacv3.Permission
	for i := range r.When {
		b.never = false
		ids, perms := b.condition(&r.When[i])
		if b.never {
			return nil
		}
		who, what = append(who, ids...), append(what, perms...)
	}
	out := &rbacv3.Policy{}
	for i := range r.From {
		b.never = false
		if ids := b.source(&r.From[i]); !b.never {
			out.Principals = append(out.Principals, andPrincipals(append(ids, who...)))
		}
	}
	for i := range r.To {
		b.never = false
		if perms := b.operation(&r.To[i]); !b.never {
			out.Permissions = append(out.Permissions, andPermissions(append(perms, what...)))
		}
	}
	if len(r.From) == 0 {
		out.Principals = []*rbacv3.Principal{andPrincipals(who)}
	}
	if len(r.To) == 0 {
		out.Permissions = []*rbacv3.Permission{andPermissions(what)}
	}
	if len(out.Principals) == 0 || len(out.Permissions) == 0 {
		return nil
	}
	return out
}

func (b *ruleBuilder) source(s *mesh.Source) []*rbacv3.Principal {
	var out []*rbacv3.Principal
	add := func(v mesh.Values, ofHTTP bool, make func(string) *rbacv3.Principal) {
		out = append(out, b.principals(v, ofHTTP, make)...)
	}
	add(s.Principals, false, peerPrincipal)
	add(s.RequestPrincipals, true, requestPrincipal)
	add(s.Namespaces, false, peerNamespace)
	add(s.ServiceAccounts, false, peerAccount)
	add(s.TrustDomains, false, peerTrustDomain)
	add(s.IPBlocks, false, directIP)
	add(s.RemoteIPBlocks, false, remoteIP)
	return out
}

func (b *ruleBuilder) operation(o *mesh.Operation) []*rbacv3.Permission {
	var out []*rbacv3.Permission
	add := func(v mesh.Values, ofHTTP bool, make func(string) *rbacv3.Permission) {
		out = append(out, b.permissions(v, ofHTTP, make)...)
	}
	add(mesh.Values{In: o.Hosts.In}, true, hostPermission(b.deny))
	add(mesh.Values{NotIn: o.Hosts.NotIn}, true, hostPermission(!b.deny))
	add(o.Methods, true, func(s string) *rbacv3.Permission { return headerPermission(":method", s, false) })
	add(o.Paths, true, pathPermission)
	add(o.Ports, false, b.port)
	return out
}

// condition makes a `when`: of who asks, or of what is asked for.
func (b *ruleBuilder) condition(c *mesh.Condition) ([]*rbacv3.Principal, []*rbacv3.Permission) {
	ids := func(ofHTTP bool, make func(string) *rbacv3.Principal) ([]*rbacv3.Principal, []*rbacv3.Permission) {
		return b.principals(c.Values, ofHTTP, make), nil
	}
	switch c.Key {
	case "source.ip":
		return ids(false, directIP)
	case "remote.ip":
		return ids(false, remoteIP)
	case "source.namespace":
		return ids(false, peerNamespace)
	case "source.principal":
		return ids(false, peerPrincipal)
	case "source.serviceAccount":
		return ids(false, peerAccount)
	case "source.trustDomain":
		return ids(false, peerTrustDomain)
	case "request.auth.principal":
		return ids(true, requestPrincipal)
	case "request.auth.audiences":
		return ids(true, func(s string) *rbacv3.Principal { return claim([]string{"aud"}, s) })
	case "request.auth.presenter":
		return ids(true, func(s string) *rbacv3.Principal { return claim([]string{"azp"}, s) })
	case "destination.ip":
		return nil, b.permissions(c.Values, false, func(s string) *rbacv3.Permission {
			return &rbacv3.Permission{Rule: &rbacv3.Permission_DestinationIp{DestinationIp: cidr(s)}}
		})
	case "destination.port":
		return nil, b.permissions(c.Values, false, b.port)
	case "connection.sni":
		return nil, b.permissions(c.Values, false, func(s string) *rbacv3.Permission {
			return &rbacv3.Permission{Rule: &rbacv3.Permission_RequestedServerName{RequestedServerName: wildcard(s)}}
		})
	}
	if path := mesh.ClaimPath(c.Key); path != nil {
		return ids(true, func(s string) *rbacv3.Principal { return claim(path, s) })
	}
	name := strings.TrimSuffix(strings.TrimPrefix(c.Key, "request.headers["), "]")
	return ids(true, func(s string) *rbacv3.Principal {
		return &rbacv3.Principal{Identifier: &rbacv3.Principal_Header{Header: valueHeader(name, s, false)}}
	})
}

// skip deals with what asks for HTTP on a port that is not HTTP.
func (b *ruleBuilder) skip(v mesh.Values, ofHTTP bool) bool {
	if v.Empty() {
		return true
	}
	if !ofHTTP || b.http {
		return false
	}
	b.never = b.never || !b.deny
	return true
}

func (b *ruleBuilder) principals(v mesh.Values, ofHTTP bool, make func(string) *rbacv3.Principal) (out []*rbacv3.Principal) {
	if b.skip(v, ofHTTP) {
		return nil
	}
	or := func(in []string) *rbacv3.Principal {
		set := &rbacv3.Principal_Set{}
		for _, s := range in {
			set.Ids = append(set.Ids, make(s))
		}
		return &rbacv3.Principal{Identifier: &rbacv3.Principal_OrIds{OrIds: set}}
	}
	if len(v.In) > 0 {
		out = append(out, or(v.In))
	}
	if len(v.NotIn) > 0 {
		out = append(out, &rbacv3.Principal{Identifier: &rbacv3.Principal_NotId{NotId: or(v.NotIn)}})
	}
	return out
}

func (b *ruleBuilder) permissions(v mesh.Values, ofHTTP bool, make func(string) *rbacv3.Permission) (out []*rbacv3.Permission) {
	if b.skip(v, ofHTTP) {
		return nil
	}
	or := func(in []string) *rbacv3.Permission {
		set := &rbacv3.Permission_Set{}
		for _, s := range in {
			set.Rules = append(set.Rules, make(s))
		}
		return &rbacv3.Permission{Rule: &rbacv3.Permission_OrRules{OrRules: set}}
	}
	if len(v.In) > 0 {
		out = append(out, or(v.In))
	}
	if len(v.NotIn) > 0 {
		out = append(out, &rbacv3.Permission{Rule: &rbacv3.Permission_NotRule{NotRule: or(v.NotIn)}})
	}
	return out
}

// port compares with the number that policies name, which is known here: the
// socket may be bound to another.
func (b *ruleBuilder) port(s string) *rbacv3.Permission {
	if n, err := strconv.ParseUint(s, 10, 16); err == nil && uint16(n) == b.place.port {
		return anyPermission()
	}
	return &rbacv3.Permission{Rule: &rbacv3.Permission_NotRule{NotRule: anyPermission()}}
}

func anyPermission() *rbacv3.Permission {
	return &rbacv3.Permission{Rule: &rbacv3.Permission_Any{Any: true}}
}

func anyPrincipal() *rbacv3.Principal {
	return &rbacv3.Principal{Identifier: &rbacv3.Principal_Any{Any: true}}
}

func andPrincipals(ids []*rbacv3.Principal) *rbacv3.Principal {
	if len(ids) == 0 {
		return anyPrincipal()
	}
	return &rbacv3.Principal{Identifier: &rbacv3.Principal_AndIds{AndIds: &rbacv3.Principal_Set{Ids: ids}}}
}

func andPermissions(rules []*rbacv3.Permission) *rbacv3.Permission {
	if len(rules) == 0 {
		return anyPermission()
	}
	return &rbacv3.Permission{Rule: &rbacv3.Permission_AndRules{AndRules: &rbacv3.Permission_Set{Rules: rules}}}
}

func headerPermission(name, value string, fold bool) *rbacv3.Permission {
	return &rbacv3.Permission{Rule: &rbacv3.Permission_Header{Header: valueHeader(name, value, fold)}}
}

// hostPermission compares the host. Where to match is to refuse (hosts of a DENY
// rule, notHosts of an ALLOW rule), a value stands for the host whatever its
// spelling: with any port, if it names none, and with dots at its end. Else a
// request would avoid the rule, where in Istio authors have to write "a" and "a:*".
func hostPermission(refuses bool) func(string) *rbacv3.Permission {
	return func(s string) *rbacv3.Permission {
		if !refuses || strings.HasSuffix(s, "*") {
			return headerPermission(":authority", s, true)
		}
		name, port, pattern := s, "(:[0-9]*)?", ""
		if i := strings.LastIndexByte(s, ':'); i > strings.LastIndexByte(s, ']') {
			name, port = s[:i], quoted(s[i:])
		}
		if end, ok := strings.CutPrefix(name, "*"); ok {
			name, pattern = end, ".*"
		}
		pattern = "(?i)" + pattern + quoted(strings.TrimRight(name, ".")) + `\.*` + port
		return &rbacv3.Permission{Rule: &rbacv3.Permission_Header{Header: &routev3.HeaderMatcher{Name: ":authority",
			HeaderMatchSpecifier: &routev3.HeaderMatcher_StringMatch{StringMatch: regexText(pattern)}}}}
	}
}

func valueHeader(name, value string, fold bool) *routev3.HeaderMatcher {
	h := &routev3.HeaderMatcher{Name: name}
	m := wildcard(value)
	if fold && value != "*" {
		m.IgnoreCase = true
	}
	h.HeaderMatchSpecifier = &routev3.HeaderMatcher_StringMatch{StringMatch: m}
	return h
}

// wildcard is a value of the API as a match: "*", "abc*", "*abc" or exact.
func wildcard(s string) *matcherv3.StringMatcher {
	switch {
	case s == "*":
		return regexText(".+")
	case strings.HasPrefix(s, "*"):
		return suffix(s[1:])
	case strings.HasSuffix(s, "*"):
		return prefix(s[:len(s)-1])
	}
	return exact(s)
}

// pathPermission compares the path without its query. {*} is one segment, a last
// {**} the rest.
func pathPermission(s string) *rbacv3.Permission {
	m := wildcard(s)
	if strings.Contains(s, "{*") {
		var parts []string
		for _, seg := range strings.Split(s, "/") {
			switch seg {
			case "{*}":
				seg = "[^/]+"
			case "{**}":
				seg = ".*"
			default:
				seg = quoted(seg)
			}
			parts = append(parts, seg)
		}
		m = regexText(strings.Join(parts, "/"))
	}
	return &rbacv3.Permission{Rule: &rbacv3.Permission_UrlPath{UrlPath: &matcherv3.PathMatcher{
		Rule: &matcherv3.PathMatcher_Path{Path: m},
	}}}
}
