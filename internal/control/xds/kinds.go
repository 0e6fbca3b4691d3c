package xds

import "github.com/usher-mesh/usher/internal/control/xdsgen"

// kind is the place of a resource type in the order of a push: what is named
// comes before what names it. Secrets come before the listeners that use them.
type kind int

const (
	clusters kind = iota
	endpoints
	secrets
	listeners
	routes
	kinds
)

var typeURLs = [kinds]string{
	clusters:  xdsgen.ClusterType,
	endpoints: xdsgen.EndpointType,
	secrets:   xdsgen.SecretType,
	listeners: xdsgen.ListenerType,
	routes:    xdsgen.RouteType,
}

// kindOf finds the kind of a type URL.
func kindOf(typeURL string) (kind, bool) {
	for k, u := range typeURLs {
		if u == typeURL {
			return kind(k), true
		}
	}
	return 0, false
}

// wildcards says whether `*` may be subscribed to. Endpoints, routes and above all
// secrets are by name only.
func (k kind) wildcards() bool { return k == clusters || k == listeners }

// removedLast says whether removals of this kind wait until nothing that is
// pushed may still name what is removed.
func (k kind) removedLast() bool { return k == clusters || k == endpoints || k == secrets }

// label is the short name in metrics and the debug output.
func (k kind) label() string {
	return [kinds]string{"cluster", "endpoint", "secret", "listener", "route"}[k]
}
