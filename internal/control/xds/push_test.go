package xds

import (
	"fmt"
	"strings"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/usher-mesh/usher/internal/control/xdsgen"
	"github.com/usher-mesh/usher/internal/mesh"
)

func request(n *corev3.Node, typeURL string, names ...string) *discoveryv3.DeltaDiscoveryRequest {
	return &discoveryv3.DeltaDiscoveryRequest{Node: n, TypeUrl: typeURL, ResourceNamesSubscribe: names}
}

var customer = work("tutorial", "customer-v1", "customer")

// connected is a client that is let in, with everything of all acknowledged.
func (h *harness) connected(all ...*xdsgen.Resource) *client {
	h.t.Helper()
	h.serve(all, customer)
	c := h.dial(h.source("tutorial", "customer", 0))
	c.sub(nodeOf("sidecar", "tutorial", "customer-v1"), xdsgen.ClusterType)
	c.ack(c.recv())
	c.sub(nil, xdsgen.ListenerType)
	c.ack(c.recv())
	by := map[string][]string{}
	for _, r := range all {
		by[r.Type] = append(by[r.Type], r.Name)
	}
	for _, u := range []string{xdsgen.EndpointType, xdsgen.RouteType} {
		if len(by[u]) > 0 {
			c.sub(nil, u, by[u]...)
			c.ack(c.recv())
		}
	}
	h.eventually("the first configuration is acknowledged", func() bool {
		p := h.server.Proxies()
		return len(p) == 1 && p[0].Acked == h.gen
	})
	return c
}

func everything(version string) []*xdsgen.Resource {
	var all []*xdsgen.Resource
	for _, u := range []string{xdsgen.RouteType, xdsgen.ListenerType, xdsgen.EndpointType, xdsgen.ClusterType} {
		all = append(all, res(u, "a", version))
	}
	return all
}

func TestOrder(t *testing.T) {
	h := start(t, Limits{})
	c := h.connected(everything("1")...)
	h.serve(everything("2"), customer)
	for _, k := range []string{"cluster", "endpoint", "listener", "route"} {
		c.ack(c.expect(k + " a@2"))
	}
	// What is gone goes last where something may still name it.
	h.serve(nil, customer)
	var got []string
	for range 4 {
		m := c.recv()
		got = append(got, text(m))
		c.ack(m)
	}
	if s := strings.Join(got, ", "); s != "listener -a, route -a, cluster -a, endpoint -a" {
		t.Errorf("removed as %s", s)
	}
	c.quiet("x")
}

func TestEarlierKindFirst(t *testing.T) {
	h := start(t, Limits{})
	c := h.connected(everything("1")...)
	h.serve(append(everything("1"), res(xdsgen.ClusterType, "b", "1")), customer)
	m := c.expect("cluster b@1")
	// While the cluster waits for its ACK and has newer state behind, the listener
	// that may use that waits too.
	h.serve(append(everything("2"), res(xdsgen.ClusterType, "b", "2")), customer)
	c.quiet("x") // yet what is asked for is answered
	c.ack(m)
	c.ack(c.expect("cluster a@2 b@2"))
	c.ack(c.expect("endpoint a@2"))
	c.ack(c.expect("listener a@2"))
	c.ack(c.expect("route a@2"))
}

func TestCoalescing(t *testing.T) {
	h := start(t, Limits{})
	c := h.connected(res(xdsgen.ClusterType, "a", "1"))
	h.serve([]*xdsgen.Resource{res(xdsgen.ClusterType, "a", "2")}, customer)
	m := c.expect("cluster a@2")
	for v := 3; v <= 50; v++ {
		h.serve([]*xdsgen.Resource{res(xdsgen.ClusterType, "a", fmt.Sprint(v))}, customer)
	}
	c.quiet("x")
	c.ack(m)
	c.ack(c.expect("cluster a@50"))
	h.eventually("the newest is acknowledged", func() bool { return h.server.Proxies()[0].Acked == h.gen })
}

func TestStaleNonce(t *testing.T) {
	h := start(t, Limits{})
	c := h.connected(res(xdsgen.ClusterType, "a", "1"))
	h.serve([]*xdsgen.Resource{res(xdsgen.ClusterType, "a", "2")}, customer)
	m := c.expect("cluster a@2")
	c.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: m.TypeUrl, ResponseNonce: "1"})
	h.serve([]*xdsgen.Resource{res(xdsgen.ClusterType, "a", "3")}, customer)
	c.quiet("x") // the first response still waits
	c.ack(m)
	c.expect("cluster a@3")
}

func TestInitialResourceVersions(t *testing.T) {
	h := start(t, Limits{})
	h.serve([]*xdsgen.Resource{
		res(xdsgen.ClusterType, "same", "1"), res(xdsgen.ClusterType, "newer", "2"), res(xdsgen.ClusterType, "added", "1"),
		res(xdsgen.EndpointType, "same", "1"), res(xdsgen.EndpointType, "newer", "2"), res(xdsgen.EndpointType, "added", "1"),
	}, customer)
	c := h.dial(h.source("tutorial", "customer", 0))
	r := request(nodeOf("sidecar", "tutorial", "customer-v1"), xdsgen.ClusterType, "*")
	r.InitialResourceVersions = map[string]string{"same": "1", "newer": "1", "gone": "1"}
	c.send(r)
	l := request(nil, xdsgen.ListenerType)
	c.send(l)
	c.ack(c.expect("cluster added@1 newer@2"))
	c.ack(c.expect("listener"))
	c.ack(c.expect("cluster -gone"))
	r = request(nil, xdsgen.EndpointType, "same", "newer", "added", "gone", "never")
	r.InitialResourceVersions = map[string]string{"same": "1", "newer": "1", "gone": "1", "unsubscribed": "1"}
	c.send(r)
	m := c.recv()
	if got := text(m); got != "endpoint added@1 newer@2 -never" && got != "endpoint added@1 newer@2 -gone -never" {
		t.Fatalf("got %q", got)
	}
	c.ack(m)
	if !strings.Contains(text(m), "-gone") {
		c.ack(c.expect("endpoint -gone"))
	}
	c.quiet("x")
	// A client that has everything gets an empty answer, to know that it does.
	d := h.dial(h.source("tutorial", "customer", 0))
	r = request(nodeOf("sidecar", "tutorial", "customer-v1"), xdsgen.ClusterType)
	r.InitialResourceVersions = map[string]string{"same": "1", "newer": "2", "added": "1"}
	d.send(r)
	d.expect("cluster")
}

func TestResubscribe(t *testing.T) {
	h := start(t, Limits{})
	c := h.connected(res(xdsgen.EndpointType, "a", "1"), res(xdsgen.EndpointType, "b", "1"))
	c.sub(nil, xdsgen.EndpointType, "a") // again: it may have been dropped
	c.ack(c.expect("endpoint a@1"))
	c.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: xdsgen.EndpointType, ResourceNamesUnsubscribe: []string{"a"}})
	c.quiet("x")
	h.serve([]*xdsgen.Resource{res(xdsgen.EndpointType, "a", "2"), res(xdsgen.EndpointType, "b", "2")}, customer)
	c.ack(c.expect("endpoint b@2"))
	c.sub(nil, xdsgen.EndpointType, "a")
	c.ack(c.expect("endpoint a@2"))
	// A name that is nowhere is answered, and sent when it appears.
	c.sub(nil, xdsgen.EndpointType, "c")
	c.ack(c.expect("endpoint -c"))
	h.serve([]*xdsgen.Resource{res(xdsgen.EndpointType, "a", "2"), res(xdsgen.EndpointType, "b", "2"), res(xdsgen.EndpointType, "c", "1")}, customer)
	c.ack(c.expect("endpoint c@1"))
}

func TestSubscribeWhileOneWaits(t *testing.T) {
	h := start(t, Limits{})
	c := h.connected(res(xdsgen.EndpointType, "a", "1"))
	all := []*xdsgen.Resource{res(xdsgen.EndpointType, "a", "2"), res(xdsgen.EndpointType, "b", "1")}
	h.serve(all, customer)
	m := c.expect("endpoint a@2")
	c.sub(nil, xdsgen.EndpointType, "b")
	c.ack(m)
	c.ack(c.expect("endpoint b@1"))
	c.quiet("x")
}

func TestLargePushIsParted(t *testing.T) {
	h := start(t, Limits{PushBytes: 100})
	var all []*xdsgen.Resource
	for i := range 10 {
		all = append(all, res(xdsgen.ClusterType, fmt.Sprintf("cluster-%02d", i), "1"))
	}
	h.serve(all, customer)
	c := h.dial(h.source("tutorial", "customer", 0))
	c.sub(nodeOf("sidecar", "tutorial", "customer-v1"), xdsgen.ClusterType)
	n := 0
	for n < 10 {
		m := c.recv()
		if len(m.Resources) == 0 || len(m.Resources) > 2 {
			t.Fatalf("%d resources in a response", len(m.Resources))
		}
		n += len(m.Resources)
		c.ack(m)
	}
	c.quiet("x")
}

func nackOf(t *testing.T, m *discoveryv3.DeltaDiscoveryResponse, names ...string) *discoveryv3.DeltaDiscoveryRequest {
	t.Helper()
	rejected := map[string]any{}
	for _, n := range names {
		rejected[n] = "spec.x: is bad"
	}
	st, err := structpb.NewStruct(map[string]any{"rejected": rejected})
	if err != nil {
		t.Fatal(err)
	}
	a, err := anypb.New(st)
	if err != nil {
		t.Fatal(err)
	}
	return &discoveryv3.DeltaDiscoveryRequest{TypeUrl: m.TypeUrl, ResponseNonce: m.Nonce,
		ErrorDetail: &rpcstatus.Status{Code: 3, Message: "refused", Details: []*anypb.Any{a}}}
}

func TestNACKIsolation(t *testing.T) {
	h := start(t, Limits{})
	bad := mesh.Ref{Group: "g", Kind: "Gateway", Namespace: "tutorial", Name: "bad"}
	good := mesh.Ref{Group: "g", Kind: "Gateway", Namespace: "tutorial", Name: "good"}
	with := func(badVersion, goodVersion string) []*xdsgen.Resource {
		return []*xdsgen.Resource{res(xdsgen.ListenerType, "bad", badVersion, bad), res(xdsgen.ListenerType, "good", goodVersion, good)}
	}
	c := h.connected(with("1", "1")...)
	h.serve(with("2", "2"), customer)
	m := c.expect("listener bad@2 good@2")
	c.send(nackOf(t, m, "bad", "unheard-of"))
	h.eventually("the rejection is known", func() bool { return len(h.server.Standing(bad, h.gen).Rejected) == 1 })
	s := h.server.Standing(bad, h.gen)
	if r := s.Rejected[0]; s.Concerned != 1 || r.Proxy != "tutorial/customer-v1" || r.Resource != "bad" || r.Message != "spec.x: is bad" {
		t.Errorf("standing of the bad one: %+v", s)
	}
	if s := h.server.Standing(good, h.gen); s.Concerned != 1 || len(s.Rejected) != 0 || len(s.Lagging) != 0 {
		t.Errorf("standing of the good one: %+v", s)
	}
	// The rest goes on, and the same bad version is not offered again.
	h.serve(with("2", "3"), customer)
	c.ack(c.expect("listener good@3"))
	c.quiet("x")
	// A new version is.
	h.serve(with("3", "3"), customer)
	c.ack(c.expect("listener bad@3"))
	h.eventually("nothing is refused any more", func() bool { return len(h.server.Standing(bad, h.gen).Rejected) == 0 })
	// Refused again, then back to what the client has: there is nothing to send.
	h.serve(with("4", "3"), customer)
	c.send(nackOf(t, c.expect("listener bad@4"), "bad"))
	h.serve(with("3", "3"), customer)
	c.quiet("y")
	h.eventually("nothing is refused any more", func() bool { return len(h.server.Standing(bad, h.gen).Rejected) == 0 })
	// Refused again, then gone: the version that the client kept is removed.
	h.serve(with("5", "3"), customer)
	c.send(nackOf(t, c.expect("listener bad@5"), "bad"))
	h.serve(with("5", "3")[1:], customer)
	c.ack(c.expect("listener -bad"))
}

// TestNACKOfNewOrigins: an object that comes to a resource which the proxy refuses
// already stands with it, although nothing is sent and refused anew; one that left
// it does not.
func TestNACKOfNewOrigins(t *testing.T) {
	h := start(t, Limits{})
	first := mesh.Ref{Group: "g", Kind: "Gateway", Namespace: "tutorial", Name: "first"}
	later := mesh.Ref{Group: "g", Kind: "AuthorizationPolicy", Namespace: "tutorial", Name: "later"}
	c := h.connected(res(xdsgen.ListenerType, "bad", "1", first))
	h.serve([]*xdsgen.Resource{res(xdsgen.ListenerType, "bad", "2", first)}, customer)
	c.send(nackOf(t, c.expect("listener bad@2"), "bad"))
	refused := func(ref mesh.Ref) bool { return len(h.server.Standing(ref, h.gen).Rejected) == 1 }
	h.eventually("the rejection is known", func() bool { return refused(first) })
	h.serve([]*xdsgen.Resource{res(xdsgen.ListenerType, "bad", "2", later)}, customer)
	c.quiet("x")
	h.eventually("the later object is refused", func() bool { return refused(later) })
	if refused(first) {
		t.Error("the first object is still refused")
	}
}

func TestNACKOfAnotherProxy(t *testing.T) {
	p := &push{items: []item{{"one", res("t", "one", "1")}, {"two", res("t", "two", "1")}}}
	for _, c := range []struct {
		message string
		want    int
	}{{"Error adding/updating listener(s) one: no such thing", 1}, {"no such thing", 2}} {
		got, certain := rejectedOf(&rpcstatus.Status{Message: c.message}, p)
		if len(got) != c.want || certain {
			t.Errorf("%q: %v, certain %v", c.message, got, certain)
		}
	}
}
