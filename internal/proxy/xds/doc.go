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

// lists tells the types of which all resources are asked for.
func lists(typeURL string) bool { return typeURL == ClusterType || typeURL == ListenerType }

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
	All       bool // there are no others: what was refused before is not wanted any more
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
	// Count notes what happened to what is wanted; Wildcard is a list as a whole.
	Count(typeURL string, e Event, names ...string)
}

// Event is what Envoy counts of a subscription.
type Event int

// Events.
const (
	Attempt  Event = iota // the source is asked, or told that it may go on
	Success               // an update is in force
	Rejected              // an update is not
	Failure               // no update can be had
	Timeout               // no update came in time
)

// count notes what became of an update with these names.
func count(s Sink, typeURL string, names []string, rejected map[string]string) {
	if lists(typeURL) {
		if len(rejected) > 0 {
			s.Count(typeURL, Rejected, Wildcard)
		} else {
			s.Count(typeURL, Success, Wildcard)
		}
		return
	}
	for _, n := range names {
		if rejected[n] != "" {
			s.Count(typeURL, Rejected, n)
		} else {
			s.Count(typeURL, Success, n)
		}
	}
}
