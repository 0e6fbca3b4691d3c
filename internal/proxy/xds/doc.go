// Package xds talks to the control plane: one ADS stream, delta or state of the world,
// in a mesh over mTLS, opened again whenever it breaks. It asks for what its sink wants,
// hands over what comes, and acknowledges or refuses as the sink says. It does not look into
// resources and keeps none: the sink does, so that a new stream starts from the
// versions that are in force. Besides it brings resources from other servers, by a stream for
// each type, and from files, when these are moved into place.
package xds

import "google.golang.org/protobuf/types/known/anypb"

// The types that a proxy asks for, in the order of asking.
const (
	ClusterType  = "type.googleapis.com/envoy.config.cluster.v3.Cluster"
	EndpointType = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"
	ListenerType = "type.googleapis.com/envoy.config.listener.v3.Listener"
	RouteType    = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration"
	SecretType   = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"
)

// Types lists them.
func Types() []string {
	return []string{ClusterType, EndpointType, ListenerType, RouteType, SecretType}
}

// Wildcard is the name that subscribes to every resource of a type.
const Wildcard = "*"

// Resource is one resource as the control plane sent it.
type Resource struct {
	Name, Version string
	Body          *anypb.Any
}

// Update is one response.
type Update struct {
	Type      string // URL
	Resources []Resource
	Removed   []string
}

// Sink keeps the resources. It is safe for concurrent use.
type Sink interface {
	// Wanted gives the names to be subscribed to; nil for none yet.
	Wanted(typeURL string) []string
	// Versions gives the version of each resource that is held.
	Versions(typeURL string) map[string]string
	// Apply puts the good resources in force and tells, by name, why it refuses
	// the others.
	Apply(Update) (rejected map[string]string)
}
