package listener

import "net/netip"

// heir gives the listener that a connection is handed to, nil if it stays: the listener has
// use_original_dst, the connection was made to another address than the one it was accepted
// at, and that address is another listener's. No connection is handed on twice.
func (c *conn) heir(s *Spec) *Listener {
	if !s.handsOff || c.handed || c.facts.local == c.facts.accepted {
		return nil
	}
	if to := s.at(c.facts.local); to != c.l {
		return to
	}
	return nil
}

// inherit serves a connection that another listener has accepted, with its addresses and what
// was read of it there, not the PROXY protocol's TLVs, as in Envoy. Who stopped closes it.
func (l *Listener) inherit(c *conn, first []byte) {
	c.passed = true
	l.admit(&conn{l: l, raw: c.raw, facts: c.facts, first: first, handed: true})
}

// addresses finds listeners by their address, as Envoy does: the very one, else the wildcard
// of its family and port, which for IPv4 may be a :: that takes that, too.
type addresses map[netip.AddrPort]*Listener

// Addresses makes the way to find listeners by where a connection was made to (Options.At);
// that gives nil for none.
func Addresses(all []*Listener) func(netip.AddrPort) *Listener {
	m := make(addresses, len(all))
	for _, l := range all {
		m[l.Addr()] = l
	}
	return m.find
}

func (m addresses) find(to netip.AddrPort) *Listener {
	if l := m[to]; l != nil {
		return l
	}
	v6 := m[netip.AddrPortFrom(netip.IPv6Unspecified(), to.Port())]
	if !to.Addr().Is4() {
		return v6
	}
	if l := m[netip.AddrPortFrom(netip.IPv4Unspecified(), to.Port())]; l != nil {
		return l
	}
	if v6 != nil && v6.spec.Load().Network == "tcp" {
		return v6
	}
	return nil
}
