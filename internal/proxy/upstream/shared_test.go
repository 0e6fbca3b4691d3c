package upstream

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"runtime"
	"strconv"
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/clusters/dynamic_forward_proxy/v3"

	"github.com/usher-mesh/usher/internal/proxy/proxytest"
)

// slow resolves any name to this machine, once it is let.
type slow struct{ asked, let chan bool }

func (r slow) LookupNetIP(ctx context.Context, _, _ string) ([]netip.Addr, error) {
	r.asked <- true
	select {
	case <-r.let:
		return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// TestWhoLeavesFailsNobodyElse: requests that wait for the same connection, or for the same
// addresses, do not fail since one of them has been given up. A client could make others'
// questions to an authorization server fail so.
func TestWhoLeavesFailsNobodyElse(t *testing.T) {
	s := serve(t, true, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) })
	_, text, _ := net.SplitHostPort(s.Listener.Addr().String())
	port, _ := strconv.Atoi(text)
	for name, cluster := range map[string]string{
		"a connection": `{name: c, lb_policy: CLUSTER_PROVIDED, cluster_type: {name: envoy.clusters.dynamic_forward_proxy, typed_config: {"@type": type.googleapis.com/envoy.extensions.clusters.dynamic_forward_proxy.v3.ClusterConfig, dns_cache_config: {name: c, dns_lookup_family: V4_PREFERRED}}}` + over2 + "}",
		"addresses":    `{name: c, type: STRICT_DNS, load_assignment: {cluster_name: c, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: a.test, port_value: ` + text + `}}}}]}]}` + over2 + "}",
	} {
		r := slow{make(chan bool, 10), make(chan bool, 10)}
		m := new(clusterv3.Cluster)
		proxytest.Decode(t, cluster, m)
		c, err := Compile(m, Options{Resolver: r})
		if err != nil {
			t.Fatal(err)
		}
		call := func(ctx context.Context) <-chan error {
			ended := make(chan error, 1)
			go func() {
				rq := post(2)
				rq.Authority = "a.test:" + strconv.Itoa(port)
				a, err := c.Call(ctx, rq, nil, 10)
				if err == nil && a.Status != 204 {
					err = errors.New("another answer")
				}
				ended <- err
			}()
			return ended
		}
		ctx, leave := context.WithCancel(t.Context())
		first := call(ctx)
		<-r.asked
		second := call(t.Context())
		if c.dynamic {
			for c.breakers[Default].pending.Load() < 2 { // it waits for the first one's
				runtime.Gosched()
			}
		}
		leave()
		if err := <-first; err == nil {
			t.Errorf("%s: who has left is answered", name)
		}
		r.let <- true
		select {
		case err := <-second:
			if err != nil {
				t.Errorf("%s: who stays fails: %v", name, err)
			}
		case <-time.After(10 * time.Second):
			t.Errorf("%s: who stays waits", name)
		}
		c.Close()
	}
}
