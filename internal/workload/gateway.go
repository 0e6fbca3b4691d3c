package workload

import (
	"context"

	"github.com/usher-mesh/usher/internal/home"
	"github.com/usher-mesh/usher/internal/proxy/supervise/spec"
)

// Gateway describes a gateway of this machine.
type Gateway struct {
	Namespace, Name, ServiceAccount string
	Labels                          map[string]string
	Bind                            string
	Ports                           map[uint16]uint16 // port of the Gateway object -> port of the machine
}

// PrepareGateway does for a gateway what Prepare does for a service's workload.
func PrepareGateway(ctx context.Context, h home.Dir, r *Registry, g Gateway, e Endpoints) (*Local, error) {
	admin, err := choosePort(loopback, 0)
	if err != nil {
		return nil, err
	}
	socket, err := adminSocket(h, g.Namespace, g.Name)
	if err != nil {
		return nil, err
	}
	return prepare(ctx, h, r, &spec.Spec{
		Name: g.Name, Namespace: g.Namespace, ServiceAccount: g.ServiceAccount, Kind: spec.Gateway,
		Labels: g.Labels, Address: loopback.String(), Admin: admin.String(), AdminSocket: socket,
		GatewayBind: g.Bind, GatewayPorts: g.Ports,
		XDS: e.XDS, CA: e.CA, Mirror: e.Mirror, Restart: spec.Always,
	})
}
