package discovery

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"

	_ "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protojson"
	"sigs.k8s.io/yaml"

	"github.com/usher-mesh/usher/test/harness"
)

// server gives resources over whatever service of discovery it is asked by, in both variants
// of the protocol: those of a type at a version.
type server struct {
	mu      sync.Mutex
	lists   map[string]version
	changed chan struct{}     // closed and made anew with each
	refused map[string]string // type -> the version that was refused last
	taken   map[string]string // type -> the version that was taken last
	methods map[string]bool
}

type version struct {
	name string
	all  []*discoveryv3.Resource
}

func newServer() *server {
	return &server{lists: map[string]version{}, changed: make(chan struct{}), refused: map[string]string{}, taken: map[string]string{}, methods: map[string]bool{}}
}

// serve serves until the test ends, and gives the port.
func (s *server) serve(t *testing.T) int {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := grpc.NewServer(grpc.UnknownServiceHandler(s.stream))
	go g.Serve(ln)
	t.Cleanup(g.Stop)
	return ln.Addr().(*net.TCPAddr).Port
}

// set puts a list of one type, in YAML.
func (s *server) set(t *testing.T, typ, name, text string) {
	t.Helper()
	js, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	r := new(discoveryv3.DiscoveryResponse)
	if err := protojson.Unmarshal(js, r); err != nil {
		t.Fatalf("%v in %s", err, js)
	}
	v := version{name: name}
	for _, a := range r.GetResources() {
		m, err := a.UnmarshalNew()
		if err != nil {
			t.Fatal(err)
		}
		of := ""
		switch m := m.(type) {
		case interface{ GetClusterName() string }:
			of = m.GetClusterName()
		case interface{ GetName() string }:
			of = m.GetName()
		}
		v.all = append(v.all, &discoveryv3.Resource{Name: of, Version: name, Resource: a})
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lists[typ] = v
	close(s.changed)
	s.changed = make(chan struct{})
}

// said notes what a request says of a version.
func (s *server) said(typ, nonce string, bad bool) {
	typ = typ[strings.LastIndexByte(typ, '.')+1:]
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case nonce == "":
	case bad:
		s.refused[typ] = nonce
	default:
		s.taken[typ] = nonce
	}
}

// state tells what was taken of a type last, and what was not.
func (s *server) state(typ string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return fmt.Sprintf("%s: %q taken, %q refused", typ, s.taken[typ], s.refused[typ])
}

// subscription is what one stream wants of one type.
type subscription struct {
	names []string
	all   bool
	sent  string          // a version
	has   map[string]bool // of the delta variant
}

func (s *server) stream(_ any, g grpc.ServerStream) error {
	method, _ := grpc.MethodFromServerStream(g)
	s.mu.Lock()
	s.methods[method] = true
	s.mu.Unlock()
	delta := strings.Contains(method, "Delta")
	type ask struct {
		typ      string
		add, del []string
		replace  bool
	}
	asks, ended := make(chan ask), make(chan error, 1)
	go func() {
		for {
			world, changes := new(discoveryv3.DiscoveryRequest), new(discoveryv3.DeltaDiscoveryRequest)
			var a ask
			var err error
			if delta {
				err = g.RecvMsg(changes)
				s.said(changes.GetTypeUrl(), changes.GetResponseNonce(), changes.GetErrorDetail() != nil)
				a = ask{changes.GetTypeUrl(), changes.GetResourceNamesSubscribe(), changes.GetResourceNamesUnsubscribe(), false}
			} else {
				err = g.RecvMsg(world)
				s.said(world.GetTypeUrl(), world.GetResponseNonce(), world.GetErrorDetail() != nil)
				a = ask{world.GetTypeUrl(), world.GetResourceNames(), nil, true}
			}
			if err != nil {
				ended <- err
				return
			}
			select {
			case asks <- a:
			case <-g.Context().Done():
				return
			}
		}
	}()
	subs := map[string]*subscription{}
	for {
		s.mu.Lock()
		changed := s.changed
		var out []any
		for typ, sub := range subs {
			list, ok := s.lists[typ]
			if !ok || sub.sent == list.name {
				continue
			}
			sub.sent = list.name
			world := &discoveryv3.DiscoveryResponse{TypeUrl: typ, VersionInfo: list.name, Nonce: list.name}
			changes := &discoveryv3.DeltaDiscoveryResponse{TypeUrl: typ, Nonce: list.name}
			has := map[string]bool{}
			for _, r := range list.all {
				if sub.all || slices.Contains(sub.names, r.GetName()) {
					has[r.GetName()] = true
					world.Resources = append(world.Resources, r.GetResource())
					changes.Resources = append(changes.Resources, r)
				}
			}
			for n := range sub.has {
				if !has[n] {
					changes.RemovedResources = append(changes.RemovedResources, n)
				}
			}
			sub.has = has
			if delta {
				out = append(out, changes)
			} else {
				out = append(out, world)
			}
		}
		s.mu.Unlock()
		for _, r := range out {
			if err := g.SendMsg(r); err != nil {
				return err
			}
		}
		select {
		case err := <-ended:
			return err
		case <-changed:
		case a := <-asks:
			sub := subs[a.typ]
			if sub == nil {
				sub = &subscription{all: len(a.add) == 0}
				subs[a.typ] = sub
			}
			before := slices.Clone(sub.names)
			if a.replace {
				sub.names = nil
			}
			sub.names = slices.DeleteFunc(append(sub.names, a.add...), func(n string) bool { return slices.Contains(a.del, n) })
			sub.all = sub.all || slices.Contains(sub.names, "*")
			if !slices.Equal(before, sub.names) && len(a.add) > 0 {
				sub.sent = ""
			}
		}
	}
}

const (
	configs     = "type.googleapis.com/envoy.config."
	clusterType = configs + "cluster.v3.Cluster"
	edsType     = configs + "endpoint.v3.ClusterLoadAssignment"
	ldsType     = configs + "listener.v3.Listener"
	rdsType     = configs + "route.v3.RouteConfiguration"
	secretType  = tlsTypes + "Secret"
)

// until waits for an answer and for what was taken and refused, and tells both.
func (w *world) until(s *server, what, answer, typ, state string) {
	w.t.Helper()
	want := typ + ": " + state
	harness.Eventually(w.t, patience, what, func() (bool, any) {
		got := w.ask(w)
		return got == answer && s.state(typ) == want, got + "; " + s.state(typ)
	})
}
