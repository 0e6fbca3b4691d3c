package listener

import (
	"context"
	"net"
	"sync"
	"testing"

	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"

	"github.com/usher-mesh/usher/internal/proxy/deadline"
	"github.com/usher-mesh/usher/internal/proxy/proxytest"
	"github.com/usher-mesh/usher/internal/proxy/snapshot"
)

// TestHandedWhileDraining: a listener may be handed connections in the moment in which it has
// none left and those who wait for that go on.
func TestHandedWhileDraining(t *testing.T) {
	m := new(listenerv3.Listener)
	proxytest.Decode(t, `{name: l, address: {socket_address: {address: 127.0.0.1, port_value: 1}}, bind_to_port: false, filter_chains: [{filters: [{name: tcp, typed_config: {
		"@type": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy, stat_prefix: t, cluster: none}}]}]}`, m)
	s, err := Compile(m, Options{Snapshot: func() *snapshot.Snapshot { return nil }})
	if err != nil {
		t.Fatal(err)
	}
	l := On(s, nil)
	hand := func() {
		c, peer := net.Pipe()
		peer.Close()
		l.admit(&conn{l: l, raw: deadline.New(c), handed: true})
	}
	for range 5000 {
		var all sync.WaitGroup
		hand()
		for range 8 {
			all.Go(func() { l.Wait(context.Background()) })
		}
		for range 8 {
			hand()
		}
		all.Wait()
	}
	l.Close()
	if n := l.Connections(); n != 0 {
		t.Errorf("%d connections are left", n)
	}
}
