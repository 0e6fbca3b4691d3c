package supervise

import (
	"path/filepath"

	"github.com/usher-mesh/usher/internal/atomicfile"
	"github.com/usher-mesh/usher/internal/home"
	"github.com/usher-mesh/usher/internal/proxy/bootstrap/sidecar"
	"github.com/usher-mesh/usher/internal/proxy/supervise/spec"
)

// writeBootstrap makes the sidecar's bootstrap file, 0600.
func writeBootstrap(dir home.WorkloadDir, s *spec.Spec) error {
	abs, err := filepath.Abs(string(dir))
	if err != nil {
		return err
	}
	d := home.WorkloadDir(abs)
	p := sidecar.Params{
		Gateway: s.Kind == spec.Gateway, Namespace: s.Namespace, Name: s.Name, Service: s.Service,
		Labels: s.Labels, ServiceAccount: s.ServiceAccount, Address: s.Address, Outbound: s.Outbound,
		GatewayBind: s.GatewayBind, GatewayPorts: s.GatewayPorts,
		Admin: s.Admin, XDS: s.XDS, CA: s.CA, Mirror: s.Mirror,
		Local: sidecar.Local{
			TokenFile: d.Token(), RootFile: d.Root(), CacheDir: d.Cache(), Credential: s.Credential,
			AdminSocket: s.AdminSocket, AccessLog: d.AccessLog(),
		},
	}
	for _, i := range s.Ports {
		p.Inbound = append(p.Inbound, sidecar.Inbound{Name: i.Name, Protocol: i.Protocol, Port: i.Port, Listen: i.Inbound, App: i.App})
	}
	b, err := sidecar.File(p)
	if err != nil {
		return err
	}
	return atomicfile.Write(d.Bootstrap(), b, 0o600)
}
