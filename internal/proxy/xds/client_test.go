package xds_test

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/usher-mesh/usher/internal/identity"
	"github.com/usher-mesh/usher/internal/proxy/proxytest"
	"github.com/usher-mesh/usher/internal/proxy/xds"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// sink keeps everything but resources named "bad*", and wants the endpoints of
// every cluster.
type sink struct {
	mu   sync.Mutex
	held map[string]map[string]string
	came chan xds.Update
	bomb bool // the next Apply panics
}

func newSink() *sink {
	return &sink{held: map[string]map[string]string{}, came: make(chan xds.Update, 100)}
}

func (s *sink) Wanted(t string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch t {
	case xds.ClusterType:
		return []string{xds.Wildcard}
	case xds.EndpointType:
		return slices.Collect(maps.Keys(s.held[xds.ClusterType]))
	}
	return nil
}

func (s *sink) Versions(t string) map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.held[t])
}

func (s *sink) Apply(u xds.Update) map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.bomb {
		s.bomb = false
		panic("sink")
	}
	rejected := map[string]string{}
	if s.held[u.Type] == nil {
		s.held[u.Type] = map[string]string{}
	}
	for _, r := range u.Resources {
		if strings.HasPrefix(r.Name, "bad") {
			rejected[r.Name] = "lb_policy: not supported"
			continue
		}
		s.held[u.Type][r.Name] = r.Version
	}
	for _, n := range u.Removed {
		delete(s.held[u.Type], n)
	}
	s.came <- u
	return rejected
}

func (s *sink) Count(string, xds.Event, ...string) {}

func (s *sink) next(t *testing.T) xds.Update {
	t.Helper()
	select {
	case u := <-s.came:
		return u
	case <-time.After(20 * time.Second):
		t.Fatal("no update")
	}
	return xds.Update{}
}

func start(t *testing.T, ca *proxytest.CA, addr string, s *sink) *xds.Client {
	c := xds.New(xds.Options{
		Addr: addr, Sink: s, Node: &corev3.Node{Id: "sidecar~127.0.0.1~a.b~b.svc.cluster.local"},
		TLS: identity.ClientTLS(ca.Source(t, "spiffe://cluster.local/ns/b/sa/default"), []string{proxytest.ControlPlaneID}),
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = c.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	return c
}

func clusters(names ...string) map[string]proto.Message {
	m := map[string]proto.Message{}
	for _, n := range names {
		m[n] = &clusterv3.Cluster{Name: n}
	}
	return m
}

type request = discoveryv3.DeltaDiscoveryRequest

func TestSubscribeAndAcknowledge(t *testing.T) {
	ca := proxytest.NewCA(t)
	ads := proxytest.NewADS(ca, proxytest.ControlPlaneID)
	ads.Set(t, "1", clusters("a", "bad"))
	ads.Set(t, "1", map[string]proto.Message{"e": &endpointv3.ClusterLoadAssignment{ClusterName: "e"}})
	s := newSink()
	start(t, ca, ads.Start(t), s)

	first, at := ads.Await(t, 0, "for clusters", func(r *request) bool { return r.GetTypeUrl() == xds.ClusterType })
	if first.GetNode().GetId() == "" || !slices.Equal(first.GetResourceNamesSubscribe(), []string{"*"}) {
		t.Errorf("first request: %v", first)
	}
	nack, at := ads.Await(t, at, "an answer", func(r *request) bool { return r.GetResponseNonce() != "" })
	if m := nack.GetErrorDetail().GetMessage(); m != "bad: lb_policy: not supported" {
		t.Errorf("message %q", m)
	}
	if nack.GetNode() != nil {
		t.Error("the node is said twice on a stream")
	}
	var st structpb.Struct
	if err := nack.GetErrorDetail().GetDetails()[0].UnmarshalTo(&st); err != nil {
		t.Fatal(err)
	}
	if got := st.GetFields()["rejected"].GetStructValue().GetFields()["bad"].GetStringValue(); got != "lb_policy: not supported" {
		t.Errorf("details %v", &st)
	}
	// Endpoints are asked for by name, once a cluster names them.
	sub, at := ads.Await(t, at, "for endpoints", func(r *request) bool { return r.GetTypeUrl() == xds.EndpointType })
	if !slices.Equal(sub.GetResourceNamesSubscribe(), []string{"a"}) {
		t.Errorf("subscribed to %v", sub.GetResourceNamesSubscribe())
	}
	ads.Remove(xds.ClusterType, "a")
	un, at := ads.Await(t, at, "an end of endpoints", func(r *request) bool { return len(r.GetResourceNamesUnsubscribe()) > 0 })
	if un.GetTypeUrl() != xds.EndpointType || !slices.Equal(un.GetResourceNamesUnsubscribe(), []string{"a"}) {
		t.Errorf("unsubscribed from %v", un)
	}
	ads.Set(t, "2", clusters("good"))
	ads.Await(t, at, "an acknowledgement", func(r *request) bool {
		return r.GetTypeUrl() == xds.ClusterType && r.GetResponseNonce() != "" && r.GetErrorDetail() == nil
	})
}

// TestFault: a response that finds a fault in us ends the stream, not the process.
func TestFault(t *testing.T) {
	ca := proxytest.NewCA(t)
	ads := proxytest.NewADS(ca, proxytest.ControlPlaneID)
	ads.Set(t, "1", clusters("a"))
	s := newSink()
	s.bomb = true
	start(t, ca, ads.Start(t), s)
	if u := s.next(t); len(u.Resources) != 1 || u.Resources[0].Name != "a" {
		t.Errorf("on the next stream: %v", u)
	}
}

func TestReconnect(t *testing.T) {
	ca := proxytest.NewCA(t)
	ads := proxytest.NewADS(ca, proxytest.ControlPlaneID)
	ads.Set(t, "7", clusters("a", "b"))
	s := newSink()
	c := start(t, ca, ads.Start(t), s)
	_, at := ads.Await(t, 0, "an acknowledgement", func(r *request) bool { return r.GetResponseNonce() != "" })
	ads.Stop()
	ads.Set(t, "8", clusters("b", "c"))
	ads.Remove(xds.ClusterType, "a")
	ads.Start(t)
	again, _ := ads.Await(t, at, "for clusters, again", func(r *request) bool { return r.GetNode() != nil })
	if got := again.GetInitialResourceVersions(); got["a"] != "7" || got["b"] != "7" || len(got) != 2 {
		t.Errorf("versions %v", got)
	}
	for {
		u := s.next(t)
		if u.Type != xds.ClusterType || len(u.Removed) == 0 {
			continue
		}
		if len(u.Resources) != 2 || !slices.Equal(u.Removed, []string{"a"}) {
			t.Errorf("difference %v", u)
		}
		break
	}
	if n, _, _ := c.Counts(); n < 2 {
		t.Errorf("%d streams", n)
	}
}

func TestOnlyTheControlPlane(t *testing.T) {
	ca := proxytest.NewCA(t)
	other := proxytest.NewCA(t)
	for name, ads := range map[string]*proxytest.ADS{
		"another identity":  proxytest.NewADS(ca, "spiffe://cluster.local/ns/evil/sa/istiod"),
		"another authority": proxytest.NewADS(other, proxytest.ControlPlaneID),
	} {
		t.Run(name, func(t *testing.T) {
			ads.Set(t, "1", clusters("a"))
			c := xds.New(xds.Options{
				Addr: ads.Start(t), Sink: newSink(), Node: &corev3.Node{Id: "x"},
				TLS: identity.ClientTLS(ca.Source(t, "spiffe://cluster.local/ns/b/sa/default"), []string{proxytest.ControlPlaneID}),
			})
			ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
			defer cancel()
			if err := c.Run(ctx); err != nil {
				t.Fatal(err)
			}
			if n, _, _ := c.Counts(); n != 0 && c.Connected() {
				t.Error("connected")
			}
			if _, n, _ := c.Counts(); n != 0 {
				t.Errorf("%d responses taken from somebody else", n)
			}
		})
	}
}
