package listener_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/listener/original_dst/v3"

	"github.com/usher-mesh/usher/internal/proxy/listener"
	"github.com/usher-mesh/usher/test/harness"
)

const proxied = `listener_filters: [{name: pp, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol}}]` + "\n"

// named is a listener that answers with its name.
func named(name, address string, port int, more string) string {
	return fmt.Sprintf("name: %s\naddress: {socket_address: {address: \"%s\", port_value: %d}}\n%sfilter_chains:\n- filters:\n", name, address, port, more) +
		indentKeep(manager(`route_config: {virtual_hosts: [{name: v, domains: ["*"], routes: [{match: {prefix: /}, direct_response: {status: 200, body: {inline_string: `+name+`}}}]}]}`, ""))
}

// handing is a listener that hands connections to these, which have no socket.
func handing(t *testing.T, p *proxy, texts ...string) (heirs []*listener.Listener) {
	t.Helper()
	p.opts.At = func(to netip.AddrPort) *listener.Listener { return listener.Addresses(heirs)(to) }
	for _, text := range texts {
		l := listener.On(p.compile(text), nil)
		t.Cleanup(l.Close)
		heirs = append(heirs, l)
	}
	p.start(named("capture", "127.0.0.1", 0, "use_original_dst: true\n"+proxied))
	return heirs
}

// madeTo opens a connection that is said to be made to an address.
func (p *proxy) madeTo(t *testing.T, address string) net.Conn {
	t.Helper()
	c := p.dial(t, nil)
	a := netip.MustParseAddrPort(address)
	family := "TCP4"
	if a.Addr().Is6() {
		family = "TCP6"
	}
	c.SetDeadline(time.Now().Add(patience))
	fmt.Fprintf(c, "PROXY %s %s %s 5 %d\r\n", family, a.Addr(), a.Addr(), a.Port())
	return c
}

// served tells who serves a connection, "" if it is closed.
func served(t *testing.T, c net.Conn) string {
	t.Helper()
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	rs, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return ""
	}
	b, _ := io.ReadAll(rs.Body)
	if rs.Close {
		b = append(b, ", the last"...)
	}
	return string(b)
}

// TestHandOff: the very address goes before the wildcard of its family, and what is nobody's
// stays.
func TestHandOff(t *testing.T) {
	p := newProxy(t, nil)
	const unbound = "bind_to_port: false\n"
	handing(t, p, named("exact", "127.0.0.5", 80, unbound), named("any", "0.0.0.0", 80, unbound), named("any6", "::", 81, unbound),
		strings.Replace(named("both", "::", 82, unbound), "port_value", "ipv4_compat: true, port_value", 1),
		named("again", "127.0.0.1", 83, unbound+"use_original_dst: true\n"+proxied), named("told", "127.0.0.1", 84, unbound+proxied))
	for to, want := range map[string]string{
		"127.0.0.5:80": "exact", "127.0.0.6:80": "any", "[2001:db8::1]:80": "capture", "127.0.0.5:81": "capture", "[2001:db8::1]:81": "any6",
		"127.0.0.5:82": "both", "[2001:db8::1]:82": "both", "127.0.0.1:85": "capture", p.addr: "capture",
	} {
		c := p.madeTo(t, to)
		if got := served(t, c); got != want {
			t.Errorf("%s: %q serves, want %s", to, got, want)
		}
		c.Close()
	}
	c := p.madeTo(t, "127.0.0.1:84") // whose filters look at what follows
	if got := served(t, c); got != "" {
		t.Errorf("%q serves without the header that it wants", got)
	}
	for port, want := range map[int]string{83: "again", 84: "told"} { // what was handed on already is not again
		c := p.dial(t, nil)
		c.SetDeadline(time.Now().Add(patience))
		fmt.Fprintf(c, "PROXY TCP4 1.2.3.4 127.0.0.1 5 %d\r\nPROXY TCP4 1.2.3.4 127.0.0.5 5 80\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", port) // as one packet
		if got := served(t, c); got != want {
			t.Errorf("%q serves in place of %s", got, want)
		}
	}
}

// TestHandedOffCounts: a connection counts at who serves it, and ends with that one alone.
func TestHandedOffCounts(t *testing.T) {
	p := newProxy(t, nil)
	p.opts.Limits = map[string]int{"heir": 1}
	heir := handing(t, p, named("heir", "127.0.0.1", 80, "bind_to_port: false\n"))[0]
	c := p.madeTo(t, "127.0.0.1:80")
	if got := served(t, c); got != "heir" {
		t.Fatal(got)
	}
	harness.Eventually(t, patience, "it counts at the heir", func() (bool, any) {
		n, m := p.Connections(), heir.Connections()
		return n == 0 && m == 1, fmt.Sprint(n, m)
	})
	if got := served(t, p.madeTo(t, "127.0.0.1:80")); got != "" {
		t.Errorf("%s serves more than it may", got)
	}
	p.Close() // as when the configuration has it no more
	if got := served(t, c); got != "heir" {
		t.Errorf("after the end of who had accepted it: %q", got)
	}
}

// TestUnboundDrains: who has stopped is handed no more, tells its clients to leave, and
// waits for them.
func TestUnboundDrains(t *testing.T) {
	p := newProxy(t, nil)
	heir := handing(t, p, named("heir", "127.0.0.1", 80, "bind_to_port: false\n"))[0]
	if got := heir.Addr().String(); got != "127.0.0.1:80" {
		t.Error(got)
	}
	c := p.madeTo(t, "127.0.0.1:80")
	if got := served(t, c); got != "heir" {
		t.Fatal(got)
	}
	ended := make(chan struct{})
	heir.Stop(time.Millisecond)
	go func() {
		defer close(ended)
		heir.Wait(context.Background())
	}()
	if got := served(t, p.madeTo(t, "127.0.0.1:80")); got != "" {
		t.Errorf("after the end: %q", got)
	}
	if got := served(t, p.madeTo(t, "127.0.0.1:81")); got != "capture" {
		t.Errorf("another address: %q", got)
	}
	// The connection was idle: it ends by itself, or with an answer that says so.
	if got := served(t, c); got != "" && got != "heir, the last" {
		t.Errorf("a connection that drains: %q", got)
	}
	select {
	case <-ended:
	case <-time.After(patience):
		t.Error("the drain does not end")
	}
}
