package xds

import (
	"net/netip"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/usher-mesh/usher/internal/mesh"
)

func node1(t testing.TB, text string) *corev3.Node {
	t.Helper()
	n := &corev3.Node{}
	if err := protojson.Unmarshal([]byte(text), n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestNode(t *testing.T) {
	n, err := parseNode(node1(t, `{"id": "router~127.1.2.3~gw.v1.istio-system~istio-system.svc.cluster.local", "userAgentName": "usher-proxy",
		"metadata": {"USHER": {"outbound": "127.1.2.3:15001", "gatewayBind": "127.0.0.1", "gatewayPorts": {"80": 31380},
		"inbound": [{"name": "http", "protocol": "http", "port": 8080, "listen": "127.1.2.3:8080", "app": "127.0.0.1:34567"}]}}}`))
	if err != nil {
		t.Fatal(err)
	}
	w := &mesh.Workload{Namespace: "istio-system", Name: "gw.v1", Labels: map[string]string{"istio": "ingressgateway"}}
	want := &mesh.Proxy{
		Kind: mesh.Gateway, Namespace: "istio-system", Name: "gw.v1", ServiceAccount: "gateway", Labels: w.Labels,
		Address: netip.MustParseAddr("127.1.2.3"), Outbound: netip.MustParseAddrPort("127.1.2.3:15001"),
		Inbound: []mesh.InboundPort{{
			Name: "http", Protocol: "http", Port: 8080,
			Listen: netip.MustParseAddrPort("127.1.2.3:8080"), App: netip.MustParseAddrPort("127.0.0.1:34567"),
		}},
		GatewayBind: netip.MustParseAddr("127.0.0.1"), GatewayPorts: map[uint16]uint16{80: 31380}, Usher: true,
	}
	got := n.proxy(w, caller{serviceAccount: "gateway"})
	if d := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
		cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })); d != "" {
		t.Error(d)
	}
}

func TestBadNode(t *testing.T) {
	const id = `"id": "sidecar~127.1.2.3~a.b~b.svc.cluster.local"`
	for text, want := range map[string]string{
		`{}`:                                                                  `node.id "": not of the form KIND~IP~NAME.NAMESPACE~DOMAIN`,
		`{"id": "ztunnel~127.1.2.3~a.b~b.svc"}`:                               `node.id "ztunnel~127.1.2.3~a.b~b.svc": "ztunnel" is neither sidecar nor router`,
		`{"id": "sidecar~nowhere~a.b~b.svc"}`:                                 `node.id "sidecar~nowhere~a.b~b.svc": "nowhere" is not an IP address`,
		`{"id": "sidecar~127.1.2.3~a~b.svc"}`:                                 `node.id "sidecar~127.1.2.3~a~b.svc": "a" is not of the form NAME.NAMESPACE`,
		`{"id": "sidecar~127.1.2.3~a.b~c.svc"}`:                               `node.id "sidecar~127.1.2.3~a.b~c.svc": "c.svc" is not the domain of namespace "b"`,
		`{` + id + `, "metadata": {"USHER": {"outbound": "x"}}}`:              `node.metadata.USHER.outbound: "x" is not an address and port`,
		`{` + id + `, "metadata": {"USHER": {"gatewayPorts": {"80": 0}}}}`:    `node.metadata.USHER.gatewayPorts[80]: not a port`,
		`{` + id + `, "metadata": {"USHER": {"inbound": [{"port": 80.5}]}}}`:  `node.metadata.USHER.inbound[0].port: not a port`,
		`{` + id + `, "metadata": {"USHER": {"inbound": [{"port": 80}]}}}`:    `node.metadata.USHER.inbound[0].listen: not an address and port`,
		`{` + id + `, "metadata": {"USHER": {"inbound": [{"port": 1e300}]}}}`: `node.metadata.USHER.inbound[0].port: not a port`,
	} {
		if _, err := parseNode(node1(t, text)); err == nil || err.Error() != want {
			t.Errorf("%s:\n got %v\nwant %s", text, err, want)
		}
	}
}

func FuzzNode(f *testing.F) {
	f.Add("sidecar~127.1.2.3~a.b~b.svc.cluster.local", "127.0.0.1:1", 80.0)
	f.Add("router~::1~a.b.c~c", "[::1]:1", -1.0)
	f.Fuzz(func(t *testing.T, id, addr string, port float64) {
		m, err := structpb.NewStruct(map[string]any{"USHER": map[string]any{"outbound": addr, "inbound": []any{
			map[string]any{"port": port, "listen": addr, "app": addr},
		}}})
		if err != nil {
			return
		}
		n, err := parseNode(&corev3.Node{Id: id, Metadata: m})
		if err != nil {
			return
		}
		if n.name == "" || n.namespace == "" || !n.address.IsValid() {
			t.Errorf("%q is taken as %+v", id, n)
		}
	})
}
