// Package spec holds what a supervisor is told about its workload and what it
// tells about itself: two JSON files in the workload's folder. It knows no
// process and no mesh, so that the command line can import it cheaply.
package spec

// Kind tells a workload with an application from a gateway.
type Kind string

// The kinds of workload.
const (
	Sidecar Kind = "sidecar"
	Gateway Kind = "gateway" // a proxy alone, no command
)

// Restart says what happens when the command ends by itself.
type Restart string

// The restart policies.
const (
	Never  Restart = "never" // the supervisor ends with the command's status
	Always Restart = "always"
)

// Spec is workload.json, written 0600 before the supervisor starts: it holds a
// credential. Addresses are "ip:port".
type Spec struct {
	Name           string            `json:"name"`
	Namespace      string            `json:"namespace"`
	Service        string            `json:"service,omitempty"`
	Version        string            `json:"version,omitempty"`
	ServiceAccount string            `json:"serviceAccount"`
	Labels         map[string]string `json:"labels,omitempty"`
	Kind           Kind              `json:"kind"`
	// NoSidecar runs the command alone, outside the mesh.
	NoSidecar bool     `json:"noSidecar,omitempty"`
	Command   []string `json:"command,omitempty"`
	Workdir   string   `json:"workdir,omitempty"`
	// Env is put after the supervisor's own environment, as NAME=VALUE.
	Env   []string `json:"env,omitempty"`
	Ports []Port   `json:"ports,omitempty"`
	// Address is the workload's own, an IP; upstream calls have it as source.
	Address  string `json:"address,omitempty"`
	Outbound string `json:"outbound,omitempty"` // the HTTP proxy of the command
	Admin    string `json:"admin,omitempty"`    // /ready and /stats/prometheus
	// AdminSocket is the path of the sidecar's full admin interface.
	AdminSocket string `json:"adminSocket,omitempty"`
	// Credential opens Outbound. It is in no command line and no log.
	Credential string `json:"credential,omitempty"`
	// GatewayBind is the IP that a gateway's ports are bound on, GatewayPorts maps
	// the port of the Gateway object to that of the machine.
	GatewayBind  string            `json:"gatewayBind,omitempty"`
	GatewayPorts map[uint16]uint16 `json:"gatewayPorts,omitempty"`
	XDS          string            `json:"xds,omitempty"` // host:port
	CA           string            `json:"ca,omitempty"`
	Mirror       string            `json:"mirror,omitempty"`
	Restart      Restart           `json:"restart,omitempty"` // default Never
	Hostname     string            `json:"hostname,omitempty"`
}

// Port is one port of the workload's Service.
type Port struct {
	Name     string `json:"name"`
	Protocol string `json:"protocol"` // http, http2, grpc, tcp, tls
	Port     uint16 `json:"port"`     // the Service's
	Inbound  string `json:"inbound,omitempty"`
	App      string `json:"app"` // where the command listens
}
