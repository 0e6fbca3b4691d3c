package mesh

import "net/netip"

// ProxyKind tells sidecars from gateways.
type ProxyKind uint8

// The kinds of proxy.
const (
	Sidecar ProxyKind = iota
	Gateway
)

// Ref names an object of the API.
type Ref struct {
	Group, Kind, Namespace, Name string
}

// Proxy is what one connected proxy is: what its certificate proves, what the
// API knows of its workload, and where it says that it listens.
type Proxy struct {
	Kind            ProxyKind
	Namespace, Name string // of its WorkloadEntry
	ServiceAccount  string // proved by the certificate
	Labels          map[string]string
	Address         netip.Addr
	Inbound         []InboundPort
	// Outbound is where the application's calls come in as HTTP proxy requests;
	// invalid if there is none.
	Outbound netip.AddrPort
	// GatewayBind and GatewayPorts tell where a gateway's ports are bound: port
	// of the Gateway object -> port of the machine.
	GatewayBind  netip.Addr
	GatewayPorts map[uint16]uint16
	// Usher is true for usher-proxy, false for Envoy.
	Usher bool
}

// InboundPort is one port that a sidecar receives for its application.
type InboundPort struct {
	Name     string // the Service port's name; its prefix is the protocol
	Protocol string // http, http2, grpc, tcp, tls
	Port     uint16 // the port that policies name: the Service's target
	Listen   netip.AddrPort
	App      netip.AddrPort
}
