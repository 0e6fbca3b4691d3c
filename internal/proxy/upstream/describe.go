package upstream

import (
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"

	"github.com/usher-mesh/usher/internal/jsondoc"
	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/strict"
)

// Describe notes what is shown of the cluster. A name of none is not: a client may have
// chosen it.
func (c *Cluster) Describe(x *exchange.Exchange) {
	x.Cluster, x.ClusterShown, x.ClusterMetadata = c.Name, c.stat, c.metadata
}

// Hostname implements exchange.Endpoint.
func (h *Host) Hostname() string { return h.Name }

// Metadata implements exchange.Endpoint.
func (h *Host) Metadata() exchange.Metadata { return h.metadata.Load() }

// Stat is what its counters are named by: text of the configuration, which holds for ever.
func (c *Cluster) Stat() string { return c.stat }

// compileMetadata gives metadata by namespace, nil for none.
func compileMetadata(m *corev3.Metadata) (map[string]jsondoc.Value, error) {
	if len(m.GetFilterMetadata()) == 0 {
		return nil, nil
	}
	out := make(map[string]jsondoc.Value, len(m.GetFilterMetadata()))
	for namespace, s := range m.GetFilterMetadata() {
		b, err := s.MarshalJSON()
		if err == nil {
			out[namespace], err = jsondoc.Parse(string(b))
		}
		if err != nil {
			return nil, strict.At("filter_metadata["+namespace+"]", err)
		}
	}
	return out, nil
}
