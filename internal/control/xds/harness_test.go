package xds

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/usher-mesh/usher/internal/control/ca"
	"github.com/usher-mesh/usher/internal/control/xdsgen"
	"github.com/usher-mesh/usher/internal/identity"
	"github.com/usher-mesh/usher/internal/mesh"
)

const patience = 10 * time.Second

// harness is a server with a real authority, over real connections.
type harness struct {
	t         testing.TB
	authority *ca.Authority
	server    *Server
	addr      string
	make      atomic.Pointer[func(*mesh.Model, *mesh.Proxy) *xdsgen.Set]
	gen       uint64
}

func (h *harness) Generate(m *mesh.Model, p *mesh.Proxy) *xdsgen.Set {
	s := (*h.make.Load())(m, p)
	s.Generation = m.Generation
	return s
}

func start(t testing.TB, limits Limits) *harness {
	t.Helper()
	h := &harness{t: t}
	var err error
	if h.authority, err = ca.Open(t.TempDir(), ca.Options{}); err != nil {
		t.Fatal(err)
	}
	id, err := identity.ControlPlane("cluster.local")
	if err != nil {
		t.Fatal(err)
	}
	own, err := h.authority.ServerSource(id, []string{"localhost"}, []net.IP{net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	if h.server, err = New(Options{TLS: identity.ServerTLS(own, nil), Generator: h, Limits: limits}); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h.addr = l.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- h.server.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return h
}

// serve updates the model: these workloads, and these resources for everybody.
func (h *harness) serve(all []*xdsgen.Resource, workloads ...*mesh.Workload) {
	set := setOf(all...)
	h.serveFunc(func(*mesh.Model, *mesh.Proxy) *xdsgen.Set { return &xdsgen.Set{ByType: set.ByType} }, workloads...)
}

func (h *harness) serveFunc(f func(*mesh.Model, *mesh.Proxy) *xdsgen.Set, workloads ...*mesh.Workload) {
	h.gen++
	h.make.Store(&f)
	h.server.Update(&mesh.Model{Generation: h.gen, Workloads: workloads})
}

func setOf(all ...*xdsgen.Resource) *xdsgen.Set {
	s := &xdsgen.Set{ByType: map[string]map[string]*xdsgen.Resource{}}
	for _, u := range typeURLs {
		s.ByType[u] = map[string]*xdsgen.Resource{}
	}
	for _, r := range all {
		s.ByType[r.Type][r.Name] = r
	}
	return s
}

func res(typeURL, name, version string, origins ...mesh.Ref) *xdsgen.Resource {
	a, err := anypb.New(&clusterv3.Cluster{Name: name + version})
	if err != nil {
		panic(err)
	}
	return &xdsgen.Resource{Type: typeURL, Name: name, Version: version, Any: a, Origins: origins}
}

func work(namespace, name, account string) *mesh.Workload {
	return &mesh.Workload{Namespace: namespace, Name: name, ServiceAccount: account, Address: netip.MustParseAddr("127.1.2.3")}
}

// source is a certificate of the harness' authority for a service account.
func (h *harness) source(namespace, account string, ttl time.Duration) identity.Static {
	h.t.Helper()
	return issue(h.t, h.authority, namespace, account, ttl)
}

func issue(t testing.TB, a *ca.Authority, namespace, account string, ttl time.Duration) identity.Static {
	t.Helper()
	id, err := identity.Workload("cluster.local", namespace, account)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	chain, err := a.Issue(id, key.Public(), ttl)
	if err != nil {
		t.Fatal(err)
	}
	c := &tls.Certificate{PrivateKey: key, Leaf: chain[0]}
	for _, x := range chain {
		c.Certificate = append(c.Certificate, x.Raw)
	}
	roots, err := a.Roots()
	if err != nil {
		t.Fatal(err)
	}
	return identity.Static{Cert: c, Pool: roots}
}

// client is one proxy's end.
type client struct {
	t      testing.TB
	conn   *grpc.ClientConn
	stream discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResourcesClient
	in     chan *discoveryv3.DeltaDiscoveryResponse
	err    chan error
	cancel context.CancelFunc
}

const controlPlane = "spiffe://cluster.local/ns/istio-system/sa/istiod"

// dial opens a stream and receives on it.
func (h *harness) dial(src identity.Source) *client {
	h.t.Helper()
	c := h.open(src)
	go func() {
		for {
			m, err := c.stream.Recv()
			if err != nil {
				c.err <- err
				return
			}
			c.in <- m
		}
	}()
	return c
}

// open opens a stream that nobody reads.
func (h *harness) open(src identity.Source) *client {
	h.t.Helper()
	conn, err := grpc.NewClient("passthrough:///"+h.addr,
		grpc.WithTransportCredentials(credentials.NewTLS(identity.ClientTLS(src, []string{controlPlane}))))
	if err != nil {
		h.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	c := &client{t: h.t, conn: conn, in: make(chan *discoveryv3.DeltaDiscoveryResponse, 1000), err: make(chan error, 1), cancel: cancel}
	h.t.Cleanup(c.close)
	c.stream, err = discoveryv3.NewAggregatedDiscoveryServiceClient(conn).DeltaAggregatedResources(ctx)
	if err != nil {
		h.t.Fatal(err)
	}
	return c
}

func (c *client) close() {
	c.cancel()
	_ = c.conn.Close() // closed twice in some tests
}

func nodeOf(kind, namespace, name string) *corev3.Node {
	return &corev3.Node{
		Id:                   kind + "~127.1.2.3~" + name + "." + namespace + "~" + namespace + ".svc.cluster.local",
		UserAgentName:        agent,
		UserAgentVersionType: nil,
	}
}

func (c *client) send(r *discoveryv3.DeltaDiscoveryRequest) {
	c.t.Helper()
	if err := c.stream.Send(r); err != nil {
		c.t.Fatalf("send: %v", err)
	}
}

// sub subscribes; the first call of a client has a node.
func (c *client) sub(n *corev3.Node, typeURL string, names ...string) {
	c.t.Helper()
	c.send(&discoveryv3.DeltaDiscoveryRequest{Node: n, TypeUrl: typeURL, ResourceNamesSubscribe: names})
}

func (c *client) recv() *discoveryv3.DeltaDiscoveryResponse {
	c.t.Helper()
	select {
	case m := <-c.in:
		return m
	case err := <-c.err:
		c.t.Fatalf("the stream ended: %v", err)
	case <-time.After(patience):
		c.t.Fatal("no response came")
	}
	return nil
}

func (c *client) ack(m *discoveryv3.DeltaDiscoveryResponse) {
	c.t.Helper()
	c.send(ackOf(m))
}

func ackOf(m *discoveryv3.DeltaDiscoveryResponse) *discoveryv3.DeltaDiscoveryRequest {
	return &discoveryv3.DeltaDiscoveryRequest{TypeUrl: m.TypeUrl, ResponseNonce: m.Nonce}
}

// ended waits for the stream's end and gives its status.
func (c *client) ended() *status.Status {
	c.t.Helper()
	for {
		select {
		case <-c.in:
		case err := <-c.err:
			s, ok := status.FromError(err)
			if !ok {
				c.t.Fatalf("ended with %v", err)
			}
			return s
		case <-time.After(patience):
			c.t.Fatal("the stream did not end")
		}
	}
}

// quiet proves that nothing is on its way but what was received: a subscription
// to a name that is nowhere is answered, after everything else.
func (c *client) quiet(name string) {
	c.t.Helper()
	c.sub(nil, xdsgen.EndpointType, name)
	m := c.recv()
	if m.TypeUrl != xdsgen.EndpointType || len(m.RemovedResources) != 1 || m.RemovedResources[0] != name {
		c.t.Fatalf("unexpected response: %v", m)
	}
	c.ack(m)
}

// eventually waits until ok, told of changes by the server.
func (h *harness) eventually(what string, ok func() bool) {
	h.t.Helper()
	deadline := time.After(patience)
	for !ok() {
		select {
		case <-h.server.Changed():
		case <-deadline:
			h.t.Fatalf("%s: did not happen: %+v", what, h.server.Proxies())
		}
	}
}

func text(m *discoveryv3.DeltaDiscoveryResponse) string {
	k, _ := kindOf(m.TypeUrl)
	s := k.label()
	for _, r := range m.Resources {
		s += " " + r.Name + "@" + r.Version
	}
	for _, r := range m.RemovedResources {
		s += " -" + r
	}
	return s
}

func (c *client) expect(want string) *discoveryv3.DeltaDiscoveryResponse {
	c.t.Helper()
	m := c.recv()
	if got := text(m); got != want {
		c.t.Fatalf("got %q, want %q", got, want)
	}
	return m
}
