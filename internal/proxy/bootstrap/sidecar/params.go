// Package sidecar writes the bootstrap file of a local workload's proxy. It is
// plain JSON in the form that Envoy reads, made without Envoy's types, since the
// supervisor that writes it must stay small. Package bootstrap reads it.
package sidecar

// Params are what a workload's bootstrap file is made from. Addresses are
// "ip:port"; what is empty is left out.
type Params struct {
	Gateway         bool
	Namespace, Name string
	Service         string
	Labels          map[string]string
	ServiceAccount  string
	Trust           string // trust domain; default cluster.local
	Address         string // IP, the source of upstream calls
	Outbound        string
	Inbound         []Inbound
	GatewayBind     string
	GatewayPorts    map[uint16]uint16
	Admin           string
	XDS, CA, Mirror string // host:port of the control plane's servers
	Local           Local
}

// Inbound is one port of the workload, as node.metadata.USHER tells it to the
// control plane.
type Inbound struct {
	Name     string `json:"name"`
	Protocol string `json:"protocol"`
	Port     uint16 `json:"port"`
	Listen   string `json:"listen"`
	App      string `json:"app"`
}

// Local are settings that concern this machine alone and are told to nobody. They
// stand in layered_runtime, layer "usher", which Envoy ignores.
type Local struct {
	CA          string `json:"ca,omitempty"`
	TokenFile   string `json:"token_file,omitempty"`
	RootFile    string `json:"root_file,omitempty"`
	CacheDir    string `json:"cache_dir,omitempty"`
	Identity    string `json:"identity,omitempty"` // SPIFFE ID that the CA must certify
	Trust       string `json:"trust,omitempty"`
	Credential  string `json:"credential,omitempty"` // opens the outbound listener
	AdminSocket string `json:"admin_socket,omitempty"`
	AccessLog   string `json:"access_log,omitempty"`
}

// Names that the file and its readers share.
const (
	Layer         = "usher"             // of layered_runtime
	XDSCluster    = "xds-grpc"          // the control plane's ADS
	SDSCluster    = "sds-grpc"          // stands for the proxy's own identity, as in Istio
	MirrorCluster = "usher-jwks-mirror" // the control plane's key sets
	UserAgent     = "usher-proxy"
	OwnCert       = "default" // SDS name of the proxy's own certificate
	OwnRoots      = "ROOTCA"  // SDS name of the mesh's roots
)
