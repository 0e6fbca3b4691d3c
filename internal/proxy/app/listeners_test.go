package app

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"

	"github.com/usher-mesh/usher/internal/proxy/listener"
	"github.com/usher-mesh/usher/internal/proxy/proxytest"
	"github.com/usher-mesh/usher/internal/proxy/takeover"
	"github.com/usher-mesh/usher/test/harness"
)

// TestUnbound: a listener without a socket is found by its address as long as it runs, is
// shown with it, and shares it with none.
func TestUnbound(t *testing.T) {
	var sockets takeover.Sockets
	ls := newListeners(listener.Options{}, &sockets, time.Second, context.Background().Done())
	put := func(name, address, more string) error {
		t.Helper()
		m := new(listenerv3.Listener)
		at := netip.MustParseAddrPort(address)
		proxytest.Decode(t, fmt.Sprintf(`{name: %s, address: {socket_address: {address: %s, port_value: %d}}, %s filter_chains: [{filters: [{name: tcp, typed_config: {
			"@type": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy, stat_prefix: t, cluster: c}}]}]}`, name, at.Addr(), at.Port(), more), m)
		p, err := ls.Compile(m)
		if err != nil {
			t.Fatal(err)
		}
		err = p.Apply()
		if err != nil {
			p.Close()
		}
		return err
	}
	const unbound = "bind_to_port: false,"
	found := func(address, want string) {
		t.Helper()
		name := ""
		if l := ls.o.At(netip.MustParseAddrPort(address)); l != nil {
			name = l.Spec().Name
		}
		if name != want {
			t.Errorf("%s: %q, want %q", address, name, want)
		}
	}
	for _, x := range []struct{ name, address, more, err string }{
		{"a", "127.0.0.1:1", unbound, ""},
		{"b", "127.0.0.1:0", "", ""},
		{"c", "127.0.0.1:1", unbound, "listener c: 127.0.0.1:1 is the address of listener a, too"},
		{"c", "127.0.0.1:1", "", "listener c: 127.0.0.1:1 is the address of listener a, too"},
		{"a", "127.0.0.1:1", unbound + "use_original_dst: true,", ""},
	} {
		if err := put(x.name, x.address, x.more); err == nil && x.err != "" || err != nil && err.Error() != x.err {
			t.Errorf("%s at %s: %v, want %s", x.name, x.address, err, x.err)
		}
	}
	found("127.0.0.1:1", "a")
	found(ls.running["b"].Addr().String(), "b")
	if s := fmt.Sprint(ls.statuses()); strings.Count(s, "name:") != 2 || !strings.Contains(s, "port_value:1}") {
		t.Error(s)
	}
	if err := put("a", "127.0.0.1:0", ""); err != nil { // it is bound now
		t.Fatal(err)
	}
	found("127.0.0.1:1", "")
	found(ls.running["a"].Addr().String(), "a")
	if err := put("a", "127.0.0.1:1", unbound); err != nil {
		t.Fatal(err)
	}
	ls.Remove("a")
	found("127.0.0.1:1", "")
	if err := put("a", "127.0.0.1:1", unbound); err != nil {
		t.Fatal(err)
	}
	again := fmt.Sprint("127.0.0.1:", harness.FreePorts(t, 1)[0])
	for i, more := range []string{"", unbound, ""} { // of one address all the time
		if err := put("d", again, more); err != nil {
			t.Fatal(err)
		}
		c, err := net.Dial("tcp", again)
		if err == nil {
			c.Close()
		}
		if (err == nil) != (more == "") {
			t.Errorf("version %d: %v", i, err)
		}
	}
	ls.drain()
	if n := ls.connections(); n != 0 {
		t.Error(n)
	}
}
