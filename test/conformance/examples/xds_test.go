package examples

import (
	"encoding/json"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"sigs.k8s.io/yaml"

	"github.com/usher-mesh/usher/test/harness"
)

// controlPlane is an ADS server in the state-of-the-world variant, with one proxy at a
// time and one list of each type.
type controlPlane struct {
	discoveryv3.UnimplementedAggregatedDiscoveryServiceServer

	mu      sync.Mutex
	now     map[string]*discoveryv3.DiscoveryResponse
	sent    map[string]string
	push    chan struct{}
	acks    map[string]string // type -> the last version that was taken
	refused map[string]string // type -> the nonce of the last response that was not
	wants   map[string]bool
}

func (c *controlPlane) reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now, c.sent, c.acks, c.refused = map[string]*discoveryv3.DiscoveryResponse{}, map[string]string{}, map[string]string{}, map[string]string{}
	c.push, c.wants = make(chan struct{}, 1), map[string]bool{}
}

// set puts lists of resources, in YAML, by a version.
func (c *controlPlane) set(p proxy, version string, lists map[proto.Message]string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for m, text := range lists {
		js, err := yaml.YAMLToJSON([]byte(text))
		if err != nil {
			p.t.Fatal(err)
		}
		var all []*anypb.Any
		for _, one := range split(p.t, js) {
			fresh := m.ProtoReflect().New().Interface()
			if err := protojson.Unmarshal(one, fresh); err != nil {
				p.t.Fatal(err)
			}
			a, err := anypb.New(fresh)
			if err != nil {
				p.t.Fatal(err)
			}
			all = append(all, a)
		}
		typ := "type.googleapis.com/" + string(m.ProtoReflect().Descriptor().FullName())
		c.now[typ] = &discoveryv3.DiscoveryResponse{TypeUrl: typ, VersionInfo: version, Nonce: version, Resources: all}
	}
	select {
	case c.push <- struct{}{}:
	default:
	}
}

func (c *controlPlane) StreamAggregatedResources(s discoveryv3.AggregatedDiscoveryService_StreamAggregatedResourcesServer) error {
	requests := make(chan *discoveryv3.DiscoveryRequest)
	go func() {
		defer close(requests)
		for {
			r, err := s.Recv()
			if err != nil {
				return
			}
			requests <- r
		}
	}()
	c.mu.Lock()
	push := c.push
	c.sent, c.wants = map[string]string{}, map[string]bool{}
	c.mu.Unlock()
	for {
		select {
		case <-push:
		case r, ok := <-requests:
			if !ok {
				return nil
			}
			c.mu.Lock()
			c.wants[r.GetTypeUrl()] = true
			switch {
			case r.GetErrorDetail() != nil:
				c.refused[r.GetTypeUrl()] = r.GetResponseNonce()
			case r.GetResponseNonce() != "":
				c.acks[r.GetTypeUrl()] = r.GetVersionInfo()
			}
			c.mu.Unlock()
		}
		c.mu.Lock()
		var out []*discoveryv3.DiscoveryResponse
		for _, typ := range order {
			if r := c.now[typ]; r != nil && c.wants[typ] && c.sent[typ] != r.GetVersionInfo() {
				c.sent[typ] = r.GetVersionInfo()
				out = append(out, r)
			}
		}
		c.mu.Unlock()
		for _, r := range out {
			if s.Send(r) != nil {
				return nil
			}
		}
	}
}

const types = "type.googleapis.com/envoy.config."

var order = []string{types + "cluster.v3.Cluster", types + "endpoint.v3.ClusterLoadAssignment", types + "listener.v3.Listener", types + "route.v3.RouteConfiguration"}

// state tells what was taken and what was not.
func (c *controlPlane) state() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []string
	for _, typ := range order {
		out = append(out, fmt.Sprintf("%s: %q taken, %q refused", typ[strings.LastIndexByte(typ, '.')+1:], c.acks[typ], c.refused[typ]))
	}
	return strings.Join(out, "\n")
}

// TestWorldADS: both programs take a control plane's word, refuse what is bad with the
// version that they have, and go on with it.
func TestWorldADS(t *testing.T) {
	envoy, usher := harness.Envoy(t), harness.Bin(t, "usher-proxy")
	services := serve(t)
	cp := &controlPlane{}
	server := grpc.NewServer()
	discoveryv3.RegisterAggregatedDiscoveryServiceServer(server, cp)
	t.Cleanup(server.Stop)
	services["XDS"] = listen(t, func(ln net.Listener) { server.Serve(ln) })
	run := func(program string, args ...string) string {
		cp.reset()
		p, stop := start(t, &example{name: "dynamic_ads"}, services, program, args...)
		defer stop()
		port := harness.FreePorts(t, 1)[0]
		p.ports["DYNAMIC"] = port
		var out strings.Builder
		until := func(what, answer string, taken string) {
			harness.Eventually(t, 20*time.Second, program+": "+what, func() (bool, any) {
				got := get("DYNAMIC", "/").do(p)
				return strings.Contains(got, answer) && strings.Contains(cp.state(), taken), got + "\n" + cp.state()
			})
			fmt.Fprintf(&out, "%s: %s\n%s\n", what, get("DYNAMIC", "/").do(p), cp.state())
		}
		eds := "[{name: up, type: EDS, eds_cluster_config: {eds_config: {ads: {}, resource_api_version: V3}}}]"
		endpoints := func(service string) string {
			return fmt.Sprintf("[{cluster_name: up, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: %d}}}}]}]}]", services[service])
		}
		listener := fmt.Sprintf(`[{name: dynamic, address: {socket_address: {address: 127.0.0.1, port_value: %d}}, filter_chains: [{filters: [{name: hcm, typed_config: {
			"@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager, stat_prefix: d,
			rds: {route_config_name: local_route, config_source: {ads: {}, resource_api_version: V3}},
			http_filters: [{name: router, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}]}}]}]}]`, port)
		routes := func(action string) string {
			return "[{name: local_route, virtual_hosts: [{name: all, domains: ['*'], routes: [{match: {prefix: /}, " + action + "}]}]}]"
		}
		cluster, endpoint := proto.Message((*clusterv3.Cluster)(nil)), proto.Message((*endpointv3.ClusterLoadAssignment)(nil))
		lds, rds := proto.Message((*listenerv3.Listener)(nil)), proto.Message((*routev3.RouteConfiguration)(nil))
		cp.set(p, "1", map[proto.Message]string{cluster: eds, endpoint: endpoints("SERVICE1"), lds: listener, rds: routes("route: {cluster: up}")})
		until("first", "SERVICE1", `RouteConfiguration: "1"`)
		cp.set(p, "2", map[proto.Message]string{endpoint: endpoints("SERVICE2")})
		until("other endpoints", "SERVICE2", `ClusterLoadAssignment: "2"`)
		cp.set(p, "3", map[proto.Message]string{rds: routes("direct_response: {status: 600}")})
		until("a bad route", "SERVICE2", `RouteConfiguration: "1" taken, "3"`)
		cp.set(p, "4", map[proto.Message]string{rds: routes("direct_response: {status: 299}")})
		until("a good one", " 299", `RouteConfiguration: "4"`)
		cp.set(p, "5", map[proto.Message]string{lds: "[]"})
		until("no listener", "refused", `Listener: "5"`)
		return out.String()
	}
	e := run(envoy, "--concurrency", "1", "--disable-hot-restart", "-l", "error")
	if u := run(usher); e != u {
		t.Errorf("Envoy:\n%s\nusher:\n%s", e, u)
	}
}

// split gives the elements of a JSON list.
func split(t *testing.T, js []byte) (out [][]byte) {
	t.Helper()
	var all []json.RawMessage
	if err := json.Unmarshal(js, &all); err != nil {
		t.Fatal(err)
	}
	for _, one := range all {
		out = append(out, one)
	}
	return out
}
