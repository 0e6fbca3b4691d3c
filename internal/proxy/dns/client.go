package dns

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// ErrNone is a name that has no address of the kind, or that is not there at all: what the
// servers have said, other than an error of asking.
var ErrNone = errors.New("the name has no address")

// Address is one of a name's.
type Address struct {
	netip.Addr
	TTL time.Duration // as long as it holds; 0: not known, or not at all
}

// Client asks servers. It is safe for concurrent use.
type Client struct {
	Servers []netip.AddrPort // in this order, at least one
	TCP     bool             // not UDP first
	Timeout time.Duration    // of a question, above 0
	Tries   int              // of a question, each at the next server; above 0
	Rotate  bool             // each question begins at the next server
	Search  Search

	turn atomic.Uint32
}

// Lookup gives a name's addresses of IPv4 or IPv6, in the order of the answer: those of the
// hosts file if it has any. It is ErrNone if there are none.
func (c *Client) Lookup(ctx context.Context, name string, six bool) ([]Address, error) {
	if local := hosts(ctx, name, six); len(local) > 0 {
		return local, nil
	}
	none := error(ErrNone)
	for _, full := range c.Search.names(name) {
		addrs, err := c.ask(ctx, full, six)
		if !errors.Is(err, ErrNone) {
			return addrs, err
		}
		none = err
	}
	return nil, none
}

// hosts asks the hosts file alone.
func hosts(ctx context.Context, name string, six bool) (out []Address) {
	network := "ip4"
	if six {
		network = "ip6"
	}
	all, err := filesOnly.LookupNetIP(ctx, network, name)
	if err != nil {
		return nil
	}
	for _, a := range all {
		out = append(out, Address{Addr: a.Unmap()})
	}
	return out
}

var filesOnly = &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
	return nil, errors.New("the hosts file alone is asked")
}}

// ask asks for one full name, with its dot, until a server has answered.
func (c *Client) ask(ctx context.Context, name string, six bool) ([]Address, error) {
	q := dnsmessage.Question{Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET}
	if six {
		q.Type = dnsmessage.TypeAAAA
	}
	var err error
	if q.Name, err = dnsmessage.NewName(name); err != nil {
		return nil, fmt.Errorf("%q: %w", name, err)
	}
	first := 0
	if c.Rotate {
		first = int(c.turn.Add(1))
	}
	for try := range c.Tries {
		var addrs []Address
		server := c.Servers[(first+try)%len(c.Servers)]
		addrs, err = c.try(ctx, server, q)
		if err == nil || errors.Is(err, ErrNone) {
			return addrs, err
		}
		err = fmt.Errorf("server %s: %w", server, err)
		if ctx.Err() != nil {
			break
		}
	}
	return nil, err
}

// try asks one server, by TCP if UDP has no room for the answer.
func (c *Client) try(ctx context.Context, server netip.AddrPort, q dnsmessage.Question) ([]Address, error) {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	if !c.TCP {
		a, err := exchange(ctx, "udp", server, q)
		if err != nil || !a.truncated {
			return a.addrs, err
		}
	}
	a, err := exchange(ctx, "tcp", server, q)
	if err == nil && a.truncated {
		err = errors.New("the answer is truncated")
	}
	return a.addrs, err
}

// Both asks for the addresses of both kinds at once, those of IPv4 come first. It is ErrNone
// if the name has neither, and another error only if it has none of the other kind.
func (c *Client) Both(ctx context.Context, name string) ([]Address, error) {
	var all sync.WaitGroup
	var found [2][]Address
	var errs [2]error
	for i := range found {
		all.Go(func() { found[i], errs[i] = c.Lookup(ctx, name, i == 1) })
	}
	all.Wait()
	if addrs := append(found[0], found[1]...); len(addrs) > 0 {
		return addrs, nil
	}
	if errors.Is(errs[0], ErrNone) {
		return nil, errs[1]
	}
	return nil, errs[0]
}
