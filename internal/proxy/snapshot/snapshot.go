// Package snapshot is the configuration that requests are served by: routes and
// clusters by name. A Snapshot is immutable and is read once a request.
package snapshot

import (
	"github.com/usher-mesh/usher/internal/proxy/route"
	"github.com/usher-mesh/usher/internal/proxy/upstream"
)

// Snapshot holds what was compiled of the resources in force.
type Snapshot struct {
	Routes   map[string]*route.Table
	Clusters map[string]*upstream.Cluster
}
