package tls

import (
	"crypto/x509"
	"regexp"
	"strings"

	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"

	"github.com/usher-mesh/usher/internal/proxy/strict"
)

// nameMatcher matches subject alternative names of one type.
type nameMatcher struct {
	san   tlsv3.SubjectAltNameMatcher_SanType
	value func(string) bool
	exact string // as given, for DNS wildcards of the certificate
}

func compileName(m *tlsv3.SubjectAltNameMatcher) (nameMatcher, error) {
	var n nameMatcher
	if err := strict.Only(m, "san_type", "matcher"); err != nil {
		return n, err
	}
	switch n.san = m.GetSanType(); n.san {
	case tlsv3.SubjectAltNameMatcher_URI, tlsv3.SubjectAltNameMatcher_DNS, tlsv3.SubjectAltNameMatcher_IP_ADDRESS, tlsv3.SubjectAltNameMatcher_EMAIL:
	default:
		return n, strict.Errorf("san_type", "%w", strict.ErrUnsupported)
	}
	s := m.GetMatcher()
	if err := strict.Only(s, "exact", "prefix", "suffix", "contains", "safe_regex", "ignore_case"); err != nil {
		return n, strict.At("matcher", err)
	}
	fold := func(v string) string { return v }
	if s.GetIgnoreCase() {
		fold = strings.ToLower
	}
	switch p := s.GetMatchPattern().(type) {
	case *matcherv3.StringMatcher_Exact:
		n.exact = p.Exact
		want := fold(p.Exact)
		n.value = func(v string) bool { return fold(v) == want }
	case *matcherv3.StringMatcher_Prefix:
		want := fold(p.Prefix)
		n.value = func(v string) bool { return strings.HasPrefix(fold(v), want) }
	case *matcherv3.StringMatcher_Suffix:
		want := fold(p.Suffix)
		n.value = func(v string) bool { return strings.HasSuffix(fold(v), want) }
	case *matcherv3.StringMatcher_Contains:
		want := fold(p.Contains)
		n.value = func(v string) bool { return strings.Contains(fold(v), want) }
	case *matcherv3.StringMatcher_SafeRegex:
		re, err := regexp.Compile("^(?:" + p.SafeRegex.GetRegex() + ")$")
		if err != nil {
			return n, strict.At("matcher.safe_regex", err)
		}
		n.value = re.MatchString
	default:
		return n, strict.Errorf("matcher", "missing")
	}
	return n, nil
}

func (n nameMatcher) match(c *x509.Certificate) bool {
	switch n.san {
	case tlsv3.SubjectAltNameMatcher_URI:
		for _, u := range c.URIs {
			if n.value(u.String()) {
				return true
			}
		}
	case tlsv3.SubjectAltNameMatcher_DNS:
		for _, d := range c.DNSNames {
			if n.value(d) {
				return true
			}
		}
		return n.exact != "" && c.VerifyHostname(n.exact) == nil
	case tlsv3.SubjectAltNameMatcher_IP_ADDRESS:
		for _, ip := range c.IPAddresses {
			if n.value(ip.String()) {
				return true
			}
		}
	case tlsv3.SubjectAltNameMatcher_EMAIL:
		for _, e := range c.EmailAddresses {
			if n.value(e) {
				return true
			}
		}
	}
	return false
}
