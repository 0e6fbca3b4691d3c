package listener

import (
	"net/netip"
	"slices"
	"strings"
)

// facts are what a connection is matched by.
type facts struct {
	local     netip.AddrPort
	transport string // "tls", "raw_buffer", or "" if nobody looked
	sni       string // lower case
	alpn      []string
}

// find chooses the chain of a connection: criterion by criterion in Envoy's
// order, the most specific value winning at each, without going back.
func (s *Spec) find(f facts) *chain {
	left := s.chains
	for _, score := range []func(*match, facts) int{scorePort, scorePrefix, scoreName, scoreTransport, scoreALPN} {
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

func scorePrefix(m *match, f facts) int {
	if len(m.prefixes) == 0 {
		return 0
	}
	n := -1
	for _, p := range m.prefixes {
		if p.Contains(f.local.Addr().Unmap()) {
			n = max(n, p.Bits()+1)
		}
	}
	return n
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
