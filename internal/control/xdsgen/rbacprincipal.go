package xdsgen

//lint:file-ignore SA1019 Envoy still reads the fields that it has deprecated, and control planes send them.

import (
	"net/netip"
	"regexp"
	"strconv"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	rbacv3 "github.com/envoyproxy/go-control-plane/envoy/config/rbac/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

const spiffe = "spiffe://"

func authenticated(m *matcherv3.StringMatcher) *rbacv3.Principal {
	return &rbacv3.Principal{Identifier: &rbacv3.Principal_Authenticated_{
		Authenticated: &rbacv3.Principal_Authenticated{PrincipalName: m},
	}}
}

// peerPrincipal is the certificate's identity, "cluster.local/ns/x/sa/y".
func peerPrincipal(s string) *rbacv3.Principal {
	switch {
	case s == "*":
		return authenticated(regexText(".+"))
	case strings.HasPrefix(s, "*"):
		return authenticated(regexText(spiffe + ".*" + quoted(s[1:])))
	case strings.HasSuffix(s, "*"):
		return authenticated(prefix(spiffe + s[:len(s)-1]))
	}
	return authenticated(exact(spiffe + s))
}

// loose is a value with stars as an expression of one part of an identity.
func loose(s string) string {
	if s == "*" {
		return "[^/]+"
	}
	return strings.ReplaceAll(regexp.QuoteMeta(s), `\*`, "[^/]*")
}

func peerNamespace(s string) *rbacv3.Principal {
	return authenticated(regexText(spiffe + "[^/]+/ns/" + loose(s) + "/sa/.+"))
}

// peerAccount takes "namespace/account".
func peerAccount(s string) *rbacv3.Principal {
	ns, sa, _ := strings.Cut(s, "/")
	return authenticated(regexText(spiffe + "[^/]+/ns/" + quoted(ns) + "/sa/" + quoted(sa)))
}

func peerTrustDomain(s string) *rbacv3.Principal {
	return authenticated(regexText(spiffe + loose(s) + "/.+"))
}

func cidr(s string) *corev3.CidrRange {
	if p, err := netip.ParsePrefix(s); err == nil {
		return &corev3.CidrRange{AddressPrefix: p.Addr().String(), PrefixLen: wrapperspb.UInt32(uint32(p.Bits()))}
	}
	bits := uint32(32)
	if a, err := netip.ParseAddr(s); err == nil {
		bits = uint32(a.BitLen())
	}
	return &corev3.CidrRange{AddressPrefix: s, PrefixLen: wrapperspb.UInt32(bits)}
}

func directIP(s string) *rbacv3.Principal {
	return &rbacv3.Principal{Identifier: &rbacv3.Principal_DirectRemoteIp{DirectRemoteIp: cidr(s)}}
}

func remoteIP(s string) *rbacv3.Principal {
	return &rbacv3.Principal{Identifier: &rbacv3.Principal_RemoteIp{RemoteIp: cidr(s)}}
}

// requestPrincipal is the token's issuer and subject, "iss/sub", split at the
// last slash. A star stands for anything at the beginning or the end; alone it
// is any token that has both.
func requestPrincipal(s string) *rbacv3.Principal {
	iss, sub := "*", "*"
	if i := strings.LastIndexByte(s, '/'); i >= 0 {
		iss, sub = s[:i], s[i+1:]
	} else if strings.HasPrefix(s, "*") {
		sub = s // the end of the subject, or anything
	} else {
		iss = s // the beginning of the issuer; without a star nothing is like it
		if !strings.HasSuffix(s, "*") {
			sub = ""
		}
	}
	return andPrincipals([]*rbacv3.Principal{
		metadata([]string{"iss"}, &matcherv3.ValueMatcher{MatchPattern: &matcherv3.ValueMatcher_StringMatch{StringMatch: wildcard(iss)}}),
		metadata([]string{"sub"}, &matcherv3.ValueMatcher{MatchPattern: &matcherv3.ValueMatcher_StringMatch{StringMatch: wildcard(sub)}}),
	})
}

// claim matches a claim as a text, as an element of a list, or by the JSON text
// of a number or boolean.
func claim(path []string, s string) *rbacv3.Principal {
	text := &matcherv3.ValueMatcher{MatchPattern: &matcherv3.ValueMatcher_StringMatch{StringMatch: wildcard(s)}}
	one := []*matcherv3.ValueMatcher{text}
	if f, err := strconv.ParseFloat(s, 64); err == nil {
		one = append(one, &matcherv3.ValueMatcher{MatchPattern: &matcherv3.ValueMatcher_DoubleMatch{
			DoubleMatch: &matcherv3.DoubleMatcher{MatchPattern: &matcherv3.DoubleMatcher_Exact{Exact: f}},
		}})
	}
	if s == "true" || s == "false" {
		one = append(one, &matcherv3.ValueMatcher{MatchPattern: &matcherv3.ValueMatcher_BoolMatch{BoolMatch: s == "true"}})
	}
	list := append([]*matcherv3.ValueMatcher(nil), one...)
	for _, m := range one {
		list = append(list, &matcherv3.ValueMatcher{MatchPattern: &matcherv3.ValueMatcher_ListMatch{
			ListMatch: &matcherv3.ListMatcher{MatchPattern: &matcherv3.ListMatcher_OneOf{OneOf: m}},
		}})
	}
	return metadata(path, &matcherv3.ValueMatcher{MatchPattern: &matcherv3.ValueMatcher_OrMatch{
		OrMatch: &matcherv3.OrMatcher{ValueMatchers: list},
	}})
}

// metadata matches a value of the verified token's claims.
func metadata(path []string, v *matcherv3.ValueMatcher) *rbacv3.Principal {
	m := &matcherv3.MetadataMatcher{Filter: jwtName, Value: v}
	for _, key := range append([]string{payloadKey}, path...) {
		m.Path = append(m.Path, &matcherv3.MetadataMatcher_PathSegment{
			Segment: &matcherv3.MetadataMatcher_PathSegment_Key{Key: key},
		})
	}
	return &rbacv3.Principal{Identifier: &rbacv3.Principal_Metadata{Metadata: m}}
}
