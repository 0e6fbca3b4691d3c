package config

import (
	"errors"
	"fmt"
	"runtime/debug"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/proto"

	"github.com/usher-mesh/usher/internal/proxy/strict"
	"github.com/usher-mesh/usher/internal/proxy/xds"
)

// maxResource bounds one resource, in bytes.
const maxResource = 32 << 20

// decode unpacks a resource into m, and checks that it is the one that it is said
// to be.
func decode(r xds.Resource, m proto.Message, name func() string) error {
	if len(r.Body.GetValue()) > maxResource {
		return fmt.Errorf("bigger than %d bytes", maxResource)
	}
	if err := strict.Unpack(r.Body, m); err != nil {
		return err
	}
	if r.Name == "" {
		return errors.New("the resource has no name")
	}
	if name() != r.Name {
		return fmt.Errorf("the resource in it is named %q", name())
	}
	return nil
}

func (s *Store) decodeCluster(r xds.Resource) (*clusterv3.Cluster, error) {
	m := new(clusterv3.Cluster)
	return m, decode(r, m, m.GetName)
}

func (s *Store) decodeEndpoints(r xds.Resource) (*endpointv3.ClusterLoadAssignment, error) {
	m := new(endpointv3.ClusterLoadAssignment)
	return m, decode(r, m, m.GetClusterName)
}

func (s *Store) decodeRoute(r xds.Resource) (*routev3.RouteConfiguration, error) {
	m := new(routev3.RouteConfiguration)
	return m, decode(r, m, m.GetName)
}

func (s *Store) decodeListener(r xds.Resource) (*listenerv3.Listener, error) {
	m := new(listenerv3.Listener)
	return m, decode(r, m, m.GetName)
}

func (s *Store) decodeSecret(r xds.Resource) (*tlsv3.Secret, error) {
	m := new(tlsv3.Secret)
	return m, decode(r, m, m.GetName)
}

// contain turns a panic into a refusal: a resource that finds a fault in us must not
// stop the others.
func (s *Store) contain(typeURL, name string, err *error) {
	if p := recover(); p != nil {
		s.o.Log.Error("a configuration failed", "type", typeURL, "name", name, "panic", p, "stack", string(debug.Stack()))
		*err = errors.New("an internal error; see the proxy's log")
	}
}
