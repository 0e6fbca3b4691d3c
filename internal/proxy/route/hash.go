package route

import (
	"fmt"
	"math/bits"
	"regexp"
	"slices"
	"strconv"
	"strings"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"

	"github.com/cespare/xxhash/v2"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/match"
	"github.com/usher-mesh/usher/internal/proxy/strict"
)

// hashPolicy makes a hash of one of a request's properties, as Envoy does. It may
// give the client a cookie to that end.
type hashPolicy struct {
	of       func(x *exchange.Exchange) (h uint64, cookie string, ok bool)
	terminal bool // nothing after it, if there is a hash by then
}

// hash combines what the policies make of a request; 0 if that is nothing.
func hash(policies []hashPolicy, x *exchange.Exchange) (sum uint64, cookies []string) {
	some := false
	for _, p := range policies {
		h, cookie, ok := p.of(x)
		if ok {
			sum, some = bits.RotateLeft64(sum, 1)^h, true
		}
		if cookie != "" {
			cookies = append(cookies, cookie)
		}
		if p.terminal && some {
			break
		}
	}
	return sum, cookies
}

func compileHash(m *routev3.RouteAction_HashPolicy) (h hashPolicy, err error) {
	if err := strict.Only(m, "header", "cookie", "connection_properties", "query_parameter", "filter_state", "terminal"); err != nil {
		return h, err
	}
	h.terminal = m.GetTerminal()
	switch p := m.GetPolicySpecifier().(type) {
	case *routev3.RouteAction_HashPolicy_Header_:
		h.of, err = hashHeader(p.Header)
		err = strict.At("header", err)
	case *routev3.RouteAction_HashPolicy_Cookie_:
		h.of, err = hashCookie(p.Cookie)
		err = strict.At("cookie", err)
	case *routev3.RouteAction_HashPolicy_ConnectionProperties_:
		if err := strict.Only(p.ConnectionProperties, "source_ip"); err != nil {
			return h, strict.At("connection_properties", err)
		}
		h.of = nothing
		if p.ConnectionProperties.GetSourceIp() {
			h.of = hashSource
		}
	case *routev3.RouteAction_HashPolicy_QueryParameter_:
		h.of, err = hashParameter(p.QueryParameter)
		err = strict.At("query_parameter", err)
	case *routev3.RouteAction_HashPolicy_FilterState_:
		h.of, err = hashState(p.FilterState)
		err = strict.At("filter_state", err)
	default:
		err = strict.Errorf("policy_specifier", "missing")
	}
	return h, err
}

func nothing(*exchange.Exchange) (uint64, string, bool) { return 0, "", false }

func hashSource(x *exchange.Exchange) (uint64, string, bool) {
	return xxhash.Sum64String(x.Remote().Addr().Unmap().String()), "", true
}

// hashHeader: the values of all fields of the name, in the order of the values.
func hashHeader(m *routev3.RouteAction_HashPolicy_Header) (func(*exchange.Exchange) (uint64, string, bool), error) {
	if err := strict.Only(m, "header_name", "regex_rewrite"); err != nil {
		return nil, err
	}
	name := strings.ToLower(m.GetHeaderName())
	if name == "" {
		return nil, strict.Errorf("header_name", "empty")
	}
	re, subst, err := compileSubstitution(m.GetRegexRewrite())
	if err != nil {
		return nil, strict.At("regex_rewrite", err)
	}
	return func(x *exchange.Exchange) (uint64, string, bool) {
		if x.Request.Header.Count(name) == 1 && re == nil {
			return xxhash.Sum64String(x.Request.Header.Get(name)), "", true
		}
		values := headerValues(x, name, re, subst)
		if values == nil {
			return nothing(x)
		}
		slices.Sort(values)
		return xxhash.Sum64String(strings.Join(values, "")), "", true
	}, nil
}

func headerValues(x *exchange.Exchange, name string, re *regexp.Regexp, subst string) (values []string) {
	if v, ok := match.Pseudo(x, name); ok {
		values = append(values, v)
	} else {
		for _, f := range x.Request.Header.Fields() {
			if f.Name == name {
				values = append(values, f.Value)
			}
		}
	}
	if re != nil {
		for i, v := range values {
			values[i] = re.ReplaceAllString(v, subst)
		}
	}
	return values
}

// hashCookie: a client without the cookie is given one, if there is a ttl; its value
// is of the connection, so that requests that race get the same.
func hashCookie(m *routev3.RouteAction_HashPolicy_Cookie) (func(*exchange.Exchange) (uint64, string, bool), error) {
	if err := strict.Only(m, "name", "ttl", "path", "attributes"); err != nil {
		return nil, err
	}
	if err := cookieSafe(m.GetName()); err != nil || m.GetName() == "" {
		return nil, strict.Errorf("name", "%q is no name of a cookie", m.GetName())
	}
	rest := ""
	if m.GetTtl() != nil && !m.GetTtl().IsValid() || m.GetTtl().GetSeconds() < 0 {
		return nil, strict.Errorf("ttl", "is negative or no duration")
	}
	if s := m.GetTtl().GetSeconds(); s != 0 {
		rest = "; Max-Age=" + strconv.FormatInt(s, 10)
	}
	if m.GetPath() != "" {
		if err := cookieSafe(m.GetPath()); err != nil {
			return nil, strict.At("path", err)
		}
		rest += "; Path=" + m.GetPath()
	}
	for i, a := range m.GetAttributes() {
		if err := strict.Only(a, "name", "value"); err != nil {
			return nil, strict.AtIndex("attributes", i, err)
		}
		if err := cookieSafe(a.GetName() + a.GetValue()); err != nil || a.GetName() == "" {
			return nil, strict.AtIndex("attributes", i, strict.Errorf("", "%q is no attribute", a.GetName()))
		}
		rest += "; " + a.GetName()
		if a.GetValue() != "" {
			rest += "=" + a.GetValue()
		}
	}
	rest += "; HttpOnly"
	name, give := m.GetName(), m.GetTtl() != nil
	return func(x *exchange.Exchange) (uint64, string, bool) {
		for n, v := range match.Cookies(x) {
			if n == name {
				if v == "" {
					break
				}
				return xxhash.Sum64String(v), "", true
			}
		}
		if !give {
			return nothing(x)
		}
		value := fmt.Sprintf("%016x", xxhash.Sum64String(x.Conn.Remote.String()+x.Conn.Local.String()))
		return xxhash.Sum64String(value), name + `="` + value + `"` + rest, true
	}, nil
}

// cookieSafe refuses what would end a cookie's attribute or a header.
func cookieSafe(s string) error {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || c == ';' || c == '"' {
			return strict.Errorf("", "holds %q", c)
		}
	}
	return nil
}

func hashParameter(m *routev3.RouteAction_HashPolicy_QueryParameter) (func(*exchange.Exchange) (uint64, string, bool), error) {
	if err := strict.Only(m, "name"); err != nil {
		return nil, err
	}
	if m.GetName() == "" {
		return nil, strict.Errorf("name", "empty")
	}
	return func(x *exchange.Exchange) (uint64, string, bool) {
		_, query, _ := strings.Cut(x.Request.Path, "?")
		v, ok := match.Parameter(query, m.GetName())
		if !ok {
			return nothing(x)
		}
		return xxhash.Sum64String(v), "", true
	}, nil
}

func hashState(m *routev3.RouteAction_HashPolicy_FilterState) (func(*exchange.Exchange) (uint64, string, bool), error) {
	if err := strict.Only(m, "key"); err != nil {
		return nil, err
	}
	if m.GetKey() == "" {
		return nil, strict.Errorf("key", "empty")
	}
	return func(x *exchange.Exchange) (uint64, string, bool) {
		v, ok := x.FilterState[m.GetKey()]
		if !ok {
			return nothing(x)
		}
		return xxhash.Sum64String(v), "", true
	}, nil
}
