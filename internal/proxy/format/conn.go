package format

import (
	"net"
	"net/netip"
	"strconv"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
)

// which part of an address is meant.
type which uint8

const (
	whole which = iota
	hostOnly
	portOnly
)

func direct(c *exchange.Conn) netip.AddrPort   { return c.Direct }
func local(c *exchange.Conn) netip.AddrPort    { return c.Local }
func accepted(c *exchange.Conn) netip.AddrPort { return c.Accepted }

func remote(s *Subject) netip.AddrPort        { return s.X.Remote() }
func upstreamLocal(s *Subject) netip.AddrPort { return s.X.UpstreamLocal }

// upstreamRemote is the endpoint that there was a connection to.
func upstreamRemote(s *Subject) string {
	if !s.X.UpstreamLocal.IsValid() {
		return ""
	}
	return s.X.UpstreamHost
}

// address is what an operator makes of an address of the client's connection.
func address(get func(*exchange.Conn) netip.AddrPort, w which) operator {
	return addressOf(func(s *Subject) (a netip.AddrPort) {
		if s.X.Conn != nil {
			a = get(s.X.Conn)
		}
		return a
	}, w)
}

func addressOf(get func(*Subject) netip.AddrPort, w which) operator {
	return func(b []byte, s *Subject) ([]byte, kind) {
		a := get(s)
		switch {
		case !a.IsValid():
			return b, missing
		case w == hostOnly:
			return a.Addr().AppendTo(b), text
		case w == portOnly:
			return strconv.AppendUint(b, uint64(a.Port()), 10), bare
		}
		return a.AppendTo(b), text
	}
}

// host cuts the port off "ip:port" or "name:port".
func host(address string) string {
	h, _, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	return h
}

func portOf(get func(*Subject) string) operator {
	return func(b []byte, s *Subject) ([]byte, kind) {
		_, p, err := net.SplitHostPort(get(s))
		if err != nil {
			return b, missing
		}
		return append(b, p...), bare
	}
}

// ofConn asks the client's connection.
func ofConn(get func(*exchange.Conn) string) func(*Subject) string {
	return func(s *Subject) string {
		if s.X.Conn == nil {
			return ""
		}
		return get(s.X.Conn)
	}
}

func serverName(c *exchange.Conn) string { return c.SNI }

func filterChain(c *exchange.Conn) string {
	if c.Place == nil {
		return ""
	}
	return c.Place.Chain
}
