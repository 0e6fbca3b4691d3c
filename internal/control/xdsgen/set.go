package xdsgen

import (
	"net/netip"

	"google.golang.org/protobuf/types/known/anypb"

	"github.com/usher-mesh/usher/internal/mesh"
)

// Type URLs of the resources.
const (
	ClusterType  = "type.googleapis.com/envoy.config.cluster.v3.Cluster"
	EndpointType = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"
	ListenerType = "type.googleapis.com/envoy.config.listener.v3.Listener"
	RouteType    = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration"
	SecretType   = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"
)

// Options are what generation needs beside the model.
type Options struct {
	// MirrorAddr is where proxies reach the mirror of key sets.
	MirrorAddr netip.AddrPort
}

// Resource is one Envoy resource, marshalled once and shared by every proxy
// that sees it. It is never changed.
type Resource struct {
	Type, Name string
	Version    string // hash of the content
	Any        *anypb.Any
	// Origins are the objects that it came from, sorted.
	Origins []mesh.Ref
}

// Set is everything that one proxy is to have. Its maps are shared between
// proxies of the same scope and never changed.
type Set struct {
	Generation uint64
	ByType     map[string]map[string]*Resource // type URL -> name -> resource
}
