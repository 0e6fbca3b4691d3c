package listener

import (
	"net/netip"
	"slices"
	"strings"

	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
)

// facts are what a connection is matched by.
type facts struct {
	accepted  netip.AddrPort // this end of the connection
	local     netip.AddrPort // where it was made to, as far as that is known
	remote    netip.AddrPort // who connects, as far as it is told
	direct    netip.AddrPort // the other end of the connection
	transport string         // "tls", "raw_buffer", or "" if nobody looked
	sni       string         // lower case
	alpn      []string
}

// find chooses the chain of a connection: criterion by criterion in Envoy's
// order, the most specific value winning at each, without going back.
func (s *Spec) find(f facts) *chain {
	left := s.chains
	for _, score := range []func(*match, facts) int{scorePort, scorePrefix, scoreName, scoreTransport, scoreALPN,
		scoreDirect, scoreSourceType, scoreSource, scoreSourcePort} {
		left = best(left, f, score)
	}
	if len(left) == 0 {
		return s.fallback
	}
	return left[0]
}

// best keeps the chains of the highest score; negative scores do not match.
func best(chains []*chain, f facts, score func(*match, facts) int) []*chain {
	if len(chains) == 1 && score(&chains[0].match, f) >= 0 {
		return chains
	}
	var out []*chain
	top := -1
	for _, c := range chains {
		n := score(&c.match, f)
		switch {
		case n < 0 || n < top:
		case n > top:
			top, out = n, append(out[:0:0], c)
		default:
			out = append(out, c)
		}
	}
	return out
}

func scorePort(m *match, f facts) int {
	switch m.port {
	case 0:
		return 0
	case f.local.Port():
		return 1
	}
	return -1
}

func scorePrefix(m *match, f facts) int { return longest(m.prefixes, f.local.Addr()) }
func scoreDirect(m *match, f facts) int { return longest(m.direct, f.direct.Addr()) }
func scoreSource(m *match, f facts) int { return longest(m.sources, f.remote.Addr()) }

// longest gives the length of the longest prefix that an address has, plus one.
func longest(prefixes []netip.Prefix, a netip.Addr) int {
	if len(prefixes) == 0 {
		return 0
	}
	n := -1
	for _, p := range prefixes {
		if p.Contains(a.Unmap().WithZone("")) {
			n = max(n, p.Bits()+1)
		}
	}
	return n
}

func scoreSourceType(m *match, f facts) int {
	near := f.remote.Addr().IsLoopback() || f.remote.Addr() == f.local.Addr()
	switch {
	case m.sourceType == listenerv3.FilterChainMatch_ANY:
		return 0
	case near == (m.sourceType == listenerv3.FilterChainMatch_SAME_IP_OR_LOOPBACK):
		return 1
	}
	return -1
}

func scoreSourcePort(m *match, f facts) int {
	switch {
	case len(m.sourcePorts) == 0:
		return 0
	case slices.Contains(m.sourcePorts, f.remote.Port()):
		return 1
	}
	return -1
}

func scoreName(m *match, f facts) int {
	if len(m.names) == 0 {
		return 0
	}
	n := -1
	for _, name := range m.names {
		switch {
		case name == f.sni && f.sni != "":
			return 1 << 20
		case name[0] == '.' && strings.HasSuffix(f.sni, name):
			n = max(n, len(name))
		}
	}
	return n
}

func scoreTransport(m *match, f facts) int {
	switch m.transport {
	case "":
		return 0
	case f.transport:
		return 1
	}
	return -1
}

func scoreALPN(m *match, f facts) int {
	if len(m.alpn) == 0 {
		return 0
	}
	for _, p := range f.alpn {
		if slices.Contains(m.alpn, p) {
			return 1
		}
	}
	return -1
}

// overlaps tells whether a connection could be both's, and neither more specific.
func (m *match) overlaps(o *match) bool {
	return m.port == o.port && m.transport == o.transport && m.sourceType == o.sourceType && common(m.prefixes, o.prefixes) &&
		common(m.names, o.names) && common(m.alpn, o.alpn) && common(m.direct, o.direct) && common(m.sources, o.sources) &&
		common(m.sourcePorts, o.sourcePorts)
}

// common tells whether two lists have an element in common; empty ones have.
func common[T comparable](a, b []T) bool {
	if len(a) == 0 || len(b) == 0 {
		return len(a) == len(b)
	}
	return slices.ContainsFunc(a, func(x T) bool { return slices.Contains(b, x) })
}
