package upstream

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/proxytest"
)

const original = "type: ORIGINAL_DST, lb_policy: CLUSTER_PROVIDED, original_dst_lb_config: {use_http_header: true}"

// original makes a cluster whose clock is the test's.
func originalCluster(t *testing.T, now *time.Time, o Options) *Cluster {
	t.Helper()
	m := new(clusterv3.Cluster)
	proxytest.Decode(t, "{name: c, cleanup_interval: 3600s, "+original+"}", m)
	o.Now = func() time.Time { return *now }
	c, err := Compile(m, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// named picks as a request does whose field has that value.
func named(c *Cluster, value string) (*Host, error) {
	var h exchange.Header
	h.Add(DestinationHeader, value)
	return c.Pick(context.Background(), Ask{Header: &h})
}

// TestOriginalBound: values of a field make no more hosts than there may be, and the one
// unused longest goes.
func TestOriginalBound(t *testing.T) {
	now := time.Unix(1e9, 0)
	c := originalCluster(t, &now, Options{})
	first, err := named(c, "10.0.0.1:1")
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 * defaultNamed {
		now = now.Add(time.Millisecond)
		if _, err := named(c, fmt.Sprintf("10.1.%d.%d:1", i>>8, i&255)); err != nil {
			t.Fatal(err)
		}
		if i%2 == 0 { // it is used
			if h, _ := named(c, "10.0.0.1:1"); h != first {
				t.Fatalf("a host in use went after %d others", i)
			}
		}
	}
	if n := len(c.everyHost()); n != defaultNamed {
		t.Errorf("%d hosts are kept, want %d", n, defaultNamed)
	}
	if _, err := named(c, "a.test:1"); !errors.Is(err, ErrNoHealthy) || c.Counts.NoDestination.Load() != 1 {
		t.Errorf("a name: %v, %d counted", err, c.Counts.NoDestination.Load())
	}
}

// TestOriginalCleanup: what was not used for an interval goes, unless it has a connection.
func TestOriginalCleanup(t *testing.T) {
	now := time.Unix(1e9, 0)
	c := originalCluster(t, &now, Options{})
	s := serve(t, false, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) })
	busy, err := named(c, s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	conn, err := busy.Connect(t.Context(), nil, Default)
	if err != nil {
		t.Fatal(err)
	}
	idle, _ := named(c, "10.0.0.1:1")
	kept := func(want ...*Host) {
		t.Helper()
		c.clean()
		got := c.everyHost()
		if len(got) != len(want) {
			t.Fatalf("%d hosts are left, want %d", len(got), len(want))
		}
		for _, h := range want {
			if c.named[h.Text] != h {
				t.Errorf("%s is gone", h.Text)
			}
		}
	}
	now = now.Add(time.Hour - 1)
	kept(busy, idle)
	now = now.Add(1)
	kept(busy)
	conn.Close()
	kept()
	again, err := named(c, "10.0.0.1:1")
	if err != nil || again == idle {
		t.Fatalf("%v, the host that was let go: %v", err, again == idle)
	}
	now = now.Add(time.Hour)
	kept()
	c.Close()
	if _, err := named(c, "10.0.0.1:1"); err == nil {
		t.Error("a closed cluster has a host")
	}
}

// TestOriginalGuarded: no word of a client's leads to ports of the mesh itself.
func TestOriginalGuarded(t *testing.T) {
	now := time.Unix(1e9, 0)
	c := originalCluster(t, &now, Options{DialAllowed: func(a netip.AddrPort) error {
		if a.Port() == 1 {
			return errors.New("own")
		}
		return nil
	}})
	if _, err := named(c, "10.0.0.1:1"); !errors.Is(err, ErrForbidden) || len(c.everyHost()) != 0 {
		t.Errorf("%v, %d hosts", err, len(c.everyHost()))
	}
	to := netip.MustParseAddrPort("10.0.0.1:1")
	x := &exchange.Exchange{Conn: &exchange.Conn{Local: to, Accepted: netip.MustParseAddrPort("10.0.0.1:2")}}
	if _, err := c.Pick(context.Background(), Ask{For: x}); !errors.Is(err, ErrForbidden) {
		t.Errorf("by the connection: %v", err)
	}
	x.Conn.Accepted = to // nobody has redirected it
	if _, err := c.Pick(context.Background(), Ask{For: x}); !errors.Is(err, ErrNoHealthy) {
		t.Errorf("of a connection to the proxy itself: %v", err)
	}
}

// TestOriginalLeadsNotBack: no word of a client's leads to where its connection was accepted.
func TestOriginalLeadsNotBack(t *testing.T) {
	now := time.Unix(1e9, 0)
	c := originalCluster(t, &now, Options{})
	for at, list := range map[string]map[string]error{
		"127.0.0.1:1":   {"127.0.0.1:1": ErrForbidden, "0.0.0.0:1": ErrForbidden, "[::]:1": ErrForbidden, "[::ffff:127.0.0.1]:1": ErrForbidden, "[::ffff:0.0.0.0]:1": ErrForbidden, "127.0.0.1:2": nil, "127.0.0.2:1": nil},
		"[::1]:1":       {"[::1]:1": ErrForbidden, "[::]:1": ErrForbidden, "0.0.0.0:1": ErrForbidden, "[::2]:1": nil},
		"[fe80::1%a]:1": {"[fe80::1]:1": ErrForbidden, "[::]:1": nil},
		"10.0.0.1:1":    {"10.0.0.1:1": ErrForbidden, "0.0.0.0:1": nil},
	} {
		for to, want := range list {
			var h exchange.Header
			h.Add(DestinationHeader, to)
			x := &exchange.Exchange{Conn: &exchange.Conn{Accepted: netip.MustParseAddrPort(at)}}
			x.Conn.Local = x.Conn.Accepted
			if _, err := c.Pick(t.Context(), Ask{For: x, Header: &h}); err != want {
				t.Errorf("accepted at %s, sent to %s: %v, want %v", at, to, err, want)
			}
		}
	}
}

// TestOriginalAllocatesNothing: a host that is known costs a request no memory.
func TestOriginalAllocatesNothing(t *testing.T) {
	now := time.Unix(1e9, 0)
	c := originalCluster(t, &now, Options{})
	var h exchange.Header
	h.Add(DestinationHeader, "10.0.0.1:1")
	ask := Ask{Header: &h}
	if n := testing.AllocsPerRun(100, func() {
		if _, err := c.Pick(context.Background(), ask); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
