package xds

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/usher-mesh/usher/internal/mesh"
)

// agent is the user_agent_name of usher-proxy.
const agent = "usher-proxy"

// maxPorts bounds how many ports a proxy may say that it listens on.
const maxPorts = 64

// node is what a proxy says of itself. Nothing in it is proved.
type node struct {
	id        string
	kind      mesh.ProxyKind
	address   netip.Addr
	name      string // of its WorkloadEntry
	namespace string
	usher     bool
	outbound  netip.AddrPort
	inbound   []mesh.InboundPort
	bind      netip.Addr
	ports     map[uint16]uint16
}

// parseNode reads `sidecar~<ip>~<name>.<ns>~<ns>.svc.cluster.local` (or `router~`)
// and the metadata. Errors name the field.
func parseNode(n *corev3.Node) (*node, error) {
	if n == nil {
		return nil, errors.New("node: the first request must have it")
	}
	out := &node{id: n.GetId(), usher: n.GetUserAgentName() == agent}
	if len(out.id) > 1024 {
		return nil, errors.New("node.id: longer than 1024 bytes")
	}
	parts := strings.Split(out.id, "~")
	if len(parts) != 4 {
		return nil, fmt.Errorf("node.id %q: not of the form KIND~IP~NAME.NAMESPACE~DOMAIN", out.id)
	}
	switch parts[0] {
	case "sidecar":
		out.kind = mesh.Sidecar
	case "router":
		out.kind = mesh.Gateway
	default:
		return nil, fmt.Errorf("node.id %q: %q is neither sidecar nor router", out.id, parts[0])
	}
	var err error
	if out.address, err = netip.ParseAddr(parts[1]); err != nil {
		return nil, fmt.Errorf("node.id %q: %q is not an IP address", out.id, parts[1])
	}
	// A WorkloadEntry's name may have dots, a namespace's may not.
	dot := strings.LastIndexByte(parts[2], '.')
	if dot <= 0 || dot == len(parts[2])-1 {
		return nil, fmt.Errorf("node.id %q: %q is not of the form NAME.NAMESPACE", out.id, parts[2])
	}
	out.name, out.namespace = parts[2][:dot], parts[2][dot+1:]
	if ns, _, _ := strings.Cut(parts[3], "."); ns != out.namespace {
		return nil, fmt.Errorf("node.id %q: %q is not the domain of namespace %q", out.id, parts[3], out.namespace)
	}
	if u := n.GetMetadata().GetFields()["USHER"]; u != nil {
		if err := out.readUsher(u.GetStructValue().GetFields()); err != nil {
			return nil, fmt.Errorf("node.metadata.USHER.%w", err)
		}
	}
	return out, nil
}

func (n *node) readUsher(f map[string]*structpb.Value) error {
	var err error
	if s := f["outbound"].GetStringValue(); s != "" {
		if n.outbound, err = netip.ParseAddrPort(s); err != nil {
			return fmt.Errorf("outbound: %q is not an address and port", s)
		}
	}
	if s := f["gatewayBind"].GetStringValue(); s != "" {
		if n.bind, err = netip.ParseAddr(s); err != nil {
			return fmt.Errorf("gatewayBind: %q is not an IP address", s)
		}
	}
	if g := f["gatewayPorts"].GetStructValue().GetFields(); len(g) > 0 {
		if len(g) > maxPorts {
			return fmt.Errorf("gatewayPorts: more than %d", maxPorts)
		}
		n.ports = make(map[uint16]uint16, len(g))
		for k, v := range g {
			from, err := strconv.ParseUint(k, 10, 16)
			if err != nil {
				return fmt.Errorf("gatewayPorts: %q is not a port", k)
			}
			to, ok := portOf(v)
			if !ok {
				return fmt.Errorf("gatewayPorts[%s]: not a port", k)
			}
			n.ports[uint16(from)] = to
		}
	}
	list := f["inbound"].GetListValue().GetValues()
	if len(list) > maxPorts {
		return fmt.Errorf("inbound: more than %d", maxPorts)
	}
	for i, v := range list {
		p, err := readInbound(v.GetStructValue().GetFields())
		if err != nil {
			return fmt.Errorf("inbound[%d].%w", i, err)
		}
		n.inbound = append(n.inbound, p)
	}
	return nil
}

func readInbound(f map[string]*structpb.Value) (p mesh.InboundPort, err error) {
	p.Name, p.Protocol = f["name"].GetStringValue(), f["protocol"].GetStringValue()
	if len(p.Name) > 63 || len(p.Protocol) > 63 {
		return p, errors.New("name: longer than 63 bytes")
	}
	var ok bool
	if p.Port, ok = portOf(f["port"]); !ok {
		return p, errors.New("port: not a port")
	}
	if p.Listen, err = netip.ParseAddrPort(f["listen"].GetStringValue()); err != nil {
		return p, errors.New("listen: not an address and port")
	}
	if p.App, err = netip.ParseAddrPort(f["app"].GetStringValue()); err != nil {
		return p, errors.New("app: not an address and port")
	}
	return p, nil
}

// portOf reads a whole number from 1 to 65535.
func portOf(v *structpb.Value) (uint16, bool) {
	n := v.GetNumberValue()
	if n < 1 || n > 65535 || n != float64(uint16(n)) {
		return 0, false
	}
	return uint16(n), true
}

func (n *node) gateway() bool { return n.kind == mesh.Gateway }

// proxy joins what the node says of itself with what the API knows of its
// workload.
func (n *node) proxy(w *mesh.Workload, c caller) *mesh.Proxy {
	p := &mesh.Proxy{
		Kind: n.kind, Namespace: w.Namespace, Name: w.Name, ServiceAccount: c.serviceAccount,
		Labels: w.Labels, Address: w.Address, Inbound: n.inbound, Outbound: n.outbound,
		GatewayBind: n.bind, GatewayPorts: n.ports, Usher: n.usher,
	}
	if !p.Address.IsValid() {
		p.Address = n.address
	}
	return p
}
