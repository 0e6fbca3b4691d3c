package xds_test

import (
	"context"
	"net"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"

	"github.com/usher-mesh/usher/internal/identity"
	"github.com/usher-mesh/usher/internal/proxy/proxytest"
	"github.com/usher-mesh/usher/internal/proxy/xds"
)

// TestFallback holds that a copy of earlier configuration is asked for only if the
// control plane does not answer, and then at once: before the next stream.
func TestFallback(t *testing.T) {
	ca := proxytest.NewCA(t)
	run := func(addr string) (*sink, chan struct{}) {
		s, fell := newSink(), make(chan struct{}, 10)
		c := xds.New(xds.Options{
			Addr: addr, Sink: s, Node: &corev3.Node{Id: "sidecar~127.0.0.1~a.b~b.svc.cluster.local"},
			TLS:      identity.ClientTLS(ca.Source(t, "spiffe://cluster.local/ns/b/sa/default"), []string{proxytest.ControlPlaneID}),
			Fallback: func() { fell <- struct{}{} },
		})
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() { defer close(done); _ = c.Run(ctx) }()
		t.Cleanup(func() { cancel(); <-done })
		return s, fell
	}
	t.Run("it answers", func(t *testing.T) {
		ads := proxytest.NewADS(ca, proxytest.ControlPlaneID)
		ads.Set(t, "1", clusters("a"))
		s, fell := run(ads.Start(t))
		s.next(t)
		ads.Stop() // a stream that breaks later is no reason
		select {
		case <-fell:
			t.Error("fell back although there was an answer")
		default:
		}
	})
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	away, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	away.Close()
	for name, addr := range map[string]string{"it is away": away.Addr().String(), "it says nothing": silent.Addr().String()} {
		t.Run(name, func(t *testing.T) {
			_, fell := run(addr)
			select {
			case <-fell:
			case <-time.After(20 * time.Second):
				t.Error("no fallback")
			}
		})
	}
}
