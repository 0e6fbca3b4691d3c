package xds_test

import (
	"context"
	"net"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	clusterservice "github.com/envoyproxy/go-control-plane/envoy/service/cluster/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	routeservice "github.com/envoyproxy/go-control-plane/envoy/service/route/v3"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/usher-mesh/usher/internal/proxy/origin"
	"github.com/usher-mesh/usher/internal/proxy/xds"
)

// routesServer hands its delta streams of routes to the test.
type routesServer struct {
	routeservice.UnimplementedRouteDiscoveryServiceServer
	clusterservice.UnimplementedClusterDiscoveryServiceServer
	requests  chan *discoveryv3.DeltaDiscoveryRequest
	responses chan *discoveryv3.DeltaDiscoveryResponse
}

func (w *routesServer) DeltaRoutes(s routeservice.RouteDiscoveryService_DeltaRoutesServer) error {
	go func() {
		for {
			r, err := s.Recv()
			if err != nil {
				return
			}
			w.requests <- r
		}
	}()
	for {
		select {
		case <-s.Context().Done():
			return nil
		case r := <-w.responses:
			if err := s.Send(r); err != nil {
				return err
			}
		}
	}
}

func (w *routesServer) next(t *testing.T, what string, ok func(*discoveryv3.DeltaDiscoveryRequest) bool) {
	t.Helper()
	select {
	case r := <-w.requests:
		if !ok(r) {
			t.Fatalf("%s: %v", what, r)
		}
	case <-time.After(20 * time.Second):
		t.Fatalf("%s: no request", what)
	}
}

// TestServerFeed: names that are wanted later are asked for at once; nothing waits for what
// does not come in time, nor for what is no good.
func TestServerFeed(t *testing.T) {
	w := &routesServer{requests: make(chan *discoveryv3.DeltaDiscoveryRequest, 100), responses: make(chan *discoveryv3.DeltaDiscoveryResponse)}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := grpc.NewServer(grpc.WaitForHandlers(true))
	routeservice.RegisterRouteDiscoveryServiceServer(g, w)
	go g.Serve(ln)
	defer g.Stop()
	d := newDisk()
	of := func(within time.Duration) xds.Feed {
		return xds.Feed{Source: origin.Source{Cluster: "cp", Delta: true, Within: within}, Type: xds.RouteType}
	}
	f := xds.NewFeeds(xds.FeedsOptions{Hub: d, Node: &corev3.Node{Id: "n"}, Dial: func(ctx context.Context, cluster string) (net.Conn, error) {
		if cluster != "cp" {
			t.Errorf("cluster %q", cluster)
		}
		return new(net.Dialer).DialContext(ctx, "tcp", ln.Addr().String())
	}})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	d.want(of(time.Hour), "a")
	go func() { defer close(done); _ = f.Run(ctx) }()
	defer func() { cancel(); <-done }()
	w.next(t, "first", func(r *discoveryv3.DeltaDiscoveryRequest) bool {
		return r.GetNode().GetId() == "n" && r.GetTypeUrl() == xds.RouteType && len(r.GetResourceNamesSubscribe()) == 1
	})
	d.want(of(time.Hour), "a", "b")
	f.Wake()
	w.next(t, "one more", func(r *discoveryv3.DeltaDiscoveryRequest) bool {
		return len(r.GetResourceNamesSubscribe()) == 1 && r.GetResourceNamesSubscribe()[0] == "b"
	})
	send := func(typ, name string) {
		t.Helper()
		a, err := anypb.New(&routev3.RouteConfiguration{Name: name})
		if err != nil {
			t.Fatal(err)
		}
		w.responses <- &discoveryv3.DeltaDiscoveryResponse{TypeUrl: typ, Nonce: name, Resources: []*discoveryv3.Resource{{Name: name, Version: "1", Resource: a}}}
	}
	send(xds.RouteType, "a")
	d.next(t, ": a 1")
	w.next(t, "taken", func(r *discoveryv3.DeltaDiscoveryRequest) bool {
		return r.GetResponseNonce() == "a" && r.GetErrorDetail() == nil
	})
	send(xds.RouteType, "bad")
	d.next(t, ": bad 1", " gives up a, b") // nobody knows what it was for
	w.next(t, "refused", func(r *discoveryv3.DeltaDiscoveryRequest) bool { return r.GetErrorDetail() != nil })
	send(xds.ClusterType, "a")
	w.next(t, "another type", func(r *discoveryv3.DeltaDiscoveryRequest) bool { return r.GetErrorDetail() != nil })
	d.want(of(time.Hour))
	d.want(of(time.Millisecond), "c")
	f.Wake()
	d.next(t, "c is late")
}
