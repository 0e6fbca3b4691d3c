package xds_test

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/usher-mesh/usher/internal/proxy/xds"
)

// worldServer hands its one stream to the test.
type worldServer struct {
	discoveryv3.UnimplementedAggregatedDiscoveryServiceServer
	requests  chan *discoveryv3.DiscoveryRequest
	responses chan *discoveryv3.DiscoveryResponse
}

func (w *worldServer) StreamAggregatedResources(s discoveryv3.AggregatedDiscoveryService_StreamAggregatedResourcesServer) error {
	ended := make(chan error, 1)
	go func() {
		for {
			r, err := s.Recv()
			if err != nil {
				ended <- err
				return
			}
			w.requests <- r
		}
	}()
	for {
		select {
		case err := <-ended:
			return err
		case r := <-w.responses:
			if r == nil {
				return fmt.Errorf("enough")
			}
			if err := s.Send(r); err != nil {
				return err
			}
		}
	}
}

func (w *worldServer) next(t *testing.T) *discoveryv3.DiscoveryRequest {
	t.Helper()
	select {
	case r := <-w.requests:
		return r
	case <-time.After(20 * time.Second):
		t.Fatal("no request")
	}
	return nil
}

func (w *worldServer) send(t *testing.T, typ, version string, all ...proto.Message) {
	t.Helper()
	r := &discoveryv3.DiscoveryResponse{TypeUrl: typ, VersionInfo: version, Nonce: "n" + version}
	for _, m := range all {
		if a, ok := m.(*anypb.Any); ok {
			r.Resources = append(r.Resources, a)
			continue
		}
		a, err := anypb.New(m)
		if err != nil {
			t.Fatal(err)
		}
		r.Resources = append(r.Resources, a)
	}
	w.responses <- r
}

func startWorld(t *testing.T, s *sink) *worldServer {
	t.Helper()
	w := &worldServer{requests: make(chan *discoveryv3.DiscoveryRequest, 100), responses: make(chan *discoveryv3.DiscoveryResponse)}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(grpc.WaitForHandlers(true))
	discoveryv3.RegisterAggregatedDiscoveryServiceServer(server, w)
	go server.Serve(ln)
	c := xds.New(xds.Options{
		Addr: "world", World: true, Sink: s, Node: &corev3.Node{Id: "a"},
		Dial: func(ctx context.Context) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", ln.Addr().String())
		},
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = c.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done; server.Stop() })
	return w
}

func cluster(name string) proto.Message { return &clusterv3.Cluster{Name: name} }

// TestWorld: all are asked for, then what is named; versions move with what is accepted;
// clusters that are not in the list go.
func TestWorld(t *testing.T) {
	s := newSink()
	w := startWorld(t, s)
	first := w.next(t)
	if first.GetTypeUrl() != xds.ClusterType || len(first.GetResourceNames()) != 0 || first.GetNode().GetId() != "a" || first.GetVersionInfo() != "" {
		t.Fatalf("first: %v", first)
	}
	w.send(t, xds.ClusterType, "1", cluster("b"), cluster("a"))
	if u := s.next(t); len(u.Resources) != 2 || u.Resources[0].Version != "1" || len(u.Removed) != 0 {
		t.Errorf("%v", u)
	}
	if r := w.next(t); r.GetTypeUrl() != xds.ClusterType || r.GetVersionInfo() != "1" || r.GetResponseNonce() != "n1" || r.GetErrorDetail() != nil || r.GetNode() != nil {
		t.Errorf("acknowledgement: %v", r)
	}
	names := w.next(t)
	if got := slices.Sorted(slices.Values(names.GetResourceNames())); names.GetTypeUrl() != xds.EndpointType || !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("endpoints: %v", names)
	}
	// A part that is refused is told, the version stays, and what is not there goes.
	w.send(t, xds.ClusterType, "2", cluster("b"), cluster("bad"))
	if u := s.next(t); len(u.Resources) != 2 || !slices.Equal(u.Removed, []string{"a"}) {
		t.Errorf("%v", u)
	}
	if r := w.next(t); r.GetVersionInfo() != "1" || r.GetResponseNonce() != "n2" || !strings.Contains(r.GetErrorDetail().GetMessage(), "bad: ") {
		t.Errorf("refusal: %v", r)
	}
	if r := w.next(t); r.GetTypeUrl() != xds.EndpointType || !slices.Equal(r.GetResourceNames(), []string{"b"}) {
		t.Errorf("endpoints: %v", r)
	}
	// Endpoints that are not in a response stay.
	w.send(t, xds.EndpointType, "1", &endpointv3.ClusterLoadAssignment{ClusterName: "b"})
	s.next(t)
	w.next(t)
	w.send(t, xds.EndpointType, "2")
	if u := s.next(t); len(u.Removed)+len(u.Resources) != 0 {
		t.Errorf("%v", u)
	}
	w.next(t)
	// Another stream says what is held.
	w.responses <- nil
	if r := w.next(t); r.GetVersionInfo() != "1" || r.GetResponseNonce() != "" || r.GetNode() == nil {
		t.Errorf("again: %v", r)
	}
}

// TestHostileWorld: a list that cannot be read to its end changes nothing.
func TestHostileWorld(t *testing.T) {
	good, err := anypb.New(cluster("b"))
	if err != nil {
		t.Fatal(err)
	}
	wrapped, err := anypb.New(&discoveryv3.Resource{Name: "b", Resource: good})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		typ string
		all []proto.Message
	}{
		"garbage":        {xds.ClusterType, []proto.Message{cluster("b"), &anypb.Any{TypeUrl: xds.ClusterType, Value: []byte("\xff")}}},
		"unknown type":   {xds.ClusterType, []proto.Message{&anypb.Any{TypeUrl: "type.googleapis.com/no.such"}}},
		"another type":   {xds.ClusterType, []proto.Message{cluster("b"), &endpointv3.ClusterLoadAssignment{ClusterName: "x"}}},
		"twice":          {xds.ClusterType, []proto.Message{cluster("b"), cluster("b")}},
		"no resource":    {xds.ClusterType, []proto.Message{durationpb.New(time.Second)}},
		"empty":          {xds.ClusterType, []proto.Message{&anypb.Any{}}},
		"ttl":            {xds.ClusterType, []proto.Message{&discoveryv3.Resource{Name: "b", Resource: good, Ttl: durationpb.New(time.Second)}}},
		"empty wrapper":  {xds.ClusterType, []proto.Message{&discoveryv3.Resource{Name: "b"}}},
		"wrapped twice":  {xds.ClusterType, []proto.Message{&discoveryv3.Resource{Name: "b", Resource: wrapped}}},
		"type not asked": {"type.googleapis.com/no.such", nil},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSink()
			w := startWorld(t, s)
			w.next(t)
			w.send(t, xds.ClusterType, "1", cluster("a"))
			s.next(t)
			w.next(t)
			w.next(t)
			w.send(t, c.typ, "2", c.all...)
			if r := w.next(t); r.GetErrorDetail() == nil || r.GetResponseNonce() != "n2" || c.typ == xds.ClusterType && r.GetVersionInfo() != "1" {
				t.Errorf("%v", r)
			}
			if held := s.Versions(xds.ClusterType); len(held) != 1 || held["a"] != "1" {
				t.Errorf("held: %v", held)
			}
			w.send(t, xds.ClusterType, "3", &discoveryv3.Resource{Name: "b", Version: "own", Resource: good})
			s.next(t)
			if held := s.Versions(xds.ClusterType); len(held) != 1 || held["b"] != "own" {
				t.Errorf("held: %v", held)
			}
		})
	}
}

func FuzzApplyWorld(f *testing.F) {
	a, _ := anypb.New(cluster("a"))
	f.Add(xds.ClusterType, a.GetValue())
	f.Add("type.googleapis.com/envoy.service.discovery.v3.Resource", []byte("\x0a\x00"))
	f.Fuzz(func(t *testing.T, typ string, value []byte) {
		s := newSink()
		s.held[xds.ClusterType] = map[string]string{"kept": "1"}
		rejected := xds.ApplyWorld(s, xds.ClusterType, "2", []*anypb.Any{{TypeUrl: typ, Value: value}})
		_, unread := rejected["resources[0]"]
		if held := s.held[xds.ClusterType]; (held["kept"] == "1") != unread && held["kept"] != "2" {
			t.Errorf("%v %v", rejected, held)
		}
	})
}
