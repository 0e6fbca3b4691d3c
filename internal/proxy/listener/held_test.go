package listener_test

import (
	"testing"

	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"

	"github.com/usher-mesh/usher/internal/proxy/counters"
	"github.com/usher-mesh/usher/internal/proxy/listener"
	"github.com/usher-mesh/usher/internal/proxy/proxytest"
)

const heldChain = `
  filters:
  - {name: limit, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.network.connection_limit.v3.ConnectionLimit, stat_prefix: a, max_connections: 5}}
  - {name: rbac, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.network.rbac.v3.RBAC, stat_prefix: b., rules: {}}}
  - {name: tcp, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy, stat_prefix: c, cluster: up}}
`

const heldHTTP = `
  filters:
  - {name: hcm, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager, stat_prefix: d,
     http_filters: [{name: router, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}], route_config: {}}}
`

// TestCountersGo: what the filters of a listener count goes with the last listener that
// counts it, and with one that is refused.
func TestCountersGo(t *testing.T) {
	set := &counters.Set{}
	const head = "name: l\naddress: {socket_address: {address: 127.0.0.1, port_value: 1}}\nfilter_chains:\n- filter_chain_match: {destination_port: 1}"
	compile := func(text string) (*listener.Spec, error) {
		m := new(listenerv3.Listener)
		proxytest.Decode(t, head+text, m)
		return listener.Compile(m, listener.Options{Counters: set})
	}
	first, err := compile(heldChain)
	if err != nil {
		t.Fatal(err)
	}
	second, err := compile(heldChain)
	if err != nil {
		t.Fatal(err)
	}
	n := len(set.List())
	first.Close()
	if n == 0 || len(set.List()) != n {
		t.Errorf("%d counters of %d are left while they are used", len(set.List()), n)
	}
	second.Close()
	for name, more := range map[string]string{
		"chains overlap": heldHTTP + "- filter_chain_match: {destination_port: 1}" + heldHTTP,
		"a bad filter":   heldChain + "  - {name: more}\n",
	} {
		if s, err := compile(more); err == nil {
			s.Close()
			t.Errorf("%s: taken", name)
		}
		if l := set.List(); len(l) != 0 {
			t.Errorf("%s: left: %v", name, l)
		}
	}
}
