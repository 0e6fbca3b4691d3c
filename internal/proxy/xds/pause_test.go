package xds_test

import (
	"context"
	"net"
	"testing"
	"testing/synctest"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	routeservice "github.com/envoyproxy/go-control-plane/envoy/service/route/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/usher-mesh/usher/internal/proxy/origin"
	"github.com/usher-mesh/usher/internal/proxy/xds"
)

// flapping answers each stream once, and ends it after a while.
type flapping struct {
	routeservice.UnimplementedRouteDiscoveryServiceServer
	after time.Duration
	at    []time.Time
}

func (f *flapping) StreamRoutes(s routeservice.RouteDiscoveryService_StreamRoutesServer) error {
	f.at = append(f.at, time.Now())
	if _, err := s.Recv(); err != nil {
		return err
	}
	if err := s.Send(&discoveryv3.DiscoveryResponse{TypeUrl: xds.RouteType}); err != nil {
		return err
	}
	if _, err := s.Recv(); err != nil {
		return err
	}
	select {
	case <-time.After(f.after):
	case <-s.Context().Done():
	}
	return status.Error(codes.Internal, "again")
}

// pipes are connections to a server, and its listener.
type pipes chan net.Conn

func (p pipes) Accept() (net.Conn, error) {
	if c, ok := <-p; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}
func (pipes) Close() error   { return nil }
func (pipes) Addr() net.Addr { return &net.TCPAddr{} }

func (p pipes) dial(context.Context, string) (net.Conn, error) {
	ours, its := net.Pipe()
	p <- its
	return ours, nil
}

// TestPauses: a server that answers and resets is asked more and more seldom, as if it were
// away; one that has lasted is asked again soon.
func TestPauses(t *testing.T) {
	during := func(f *flapping, within time.Duration) []time.Time {
		synctest.Test(t, func(t *testing.T) {
			p := make(pipes)
			g := grpc.NewServer(grpc.WaitForHandlers(true))
			routeservice.RegisterRouteDiscoveryServiceServer(g, f)
			go g.Serve(p)
			d := newDisk()
			d.want(xds.Feed{Source: origin.Source{Cluster: "cp"}, Type: xds.RouteType}, "a")
			go func() {
				for range d.told { // of no interest
				}
			}()
			ctx, cancel := context.WithTimeout(t.Context(), within)
			defer cancel()
			_ = xds.NewFeeds(xds.FeedsOptions{Hub: d, Node: &corev3.Node{Id: "n"}, Dial: p.dial}).Run(ctx)
			close(d.told)
			close(p)
			g.Stop()
		})
		return f.at
	}
	at := during(&flapping{}, 10*time.Minute)
	if first := at[1].Sub(at[0]); first < 250*time.Millisecond || first > 600*time.Millisecond {
		t.Errorf("the first pause is %v", first)
	}
	if n := len(at); n < 20+6 || n > 40+8 { // from 15 s to 30 s each, after the first ones
		t.Errorf("asked %d times in 10 minutes", n)
	}
	same := 0
	for i := len(at) - 1; i > len(at)-10; i-- {
		if at[i].Sub(at[i-1]).Round(time.Second) == at[i-1].Sub(at[i-2]).Round(time.Second) {
			same++
		}
	}
	if same == 9 {
		t.Error("pauses are not by chance")
	}
	if at := during(&flapping{after: time.Minute}, 10*time.Minute); len(at) != 10 {
		t.Errorf("a server that lasts a minute is asked %d times in 10 minutes", len(at))
	}
}
