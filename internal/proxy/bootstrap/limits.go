package bootstrap

import (
	"maps"
	"math"
	"slices"
	"strings"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/usher-mesh/usher/internal/proxy/bootstrap/sidecar"
	"github.com/usher-mesh/usher/internal/proxy/strict"
)

// Limits bound what clients may take of the proxy. They are the keys of Envoy's runtime
// that are read here, in static layers: there is no other runtime.
type Limits struct {
	// Connections of all listeners at once; nil: no bound.
	Connections *int
	// ListenerConnections at once by the listener's name.
	ListenerConnections map[string]int
}

// Keys of the runtime.
const (
	allConnections     = "overload.global_downstream_max_connections"
	listenerPrefix     = "envoy.resource_limits.listener."
	listenerConnection = ".connection_limit"
)

// LimitsOf gives the limits that a bootstrap's layers say; later layers win.
func LimitsOf(b *bootstrapv3.Bootstrap) Limits {
	l, _ := limits(b.GetLayeredRuntime()) // supported has refused bad ones
	return l
}

func limits(r *bootstrapv3.LayeredRuntime) (Limits, error) {
	l := Limits{ListenerConnections: map[string]int{}}
	for i, layer := range r.GetLayers() {
		top := maps.Clone(layer.GetStaticLayer().GetFields())
		if layer.GetName() == sidecar.Layer {
			delete(top, sidecar.Layer)
		}
		if err := l.read("", top); err != nil {
			return l, strict.AtIndex("layers", i, strict.At("static_layer", err))
		}
	}
	return l, nil
}

// read takes the leaves of a layer; their names are joined by dots, as Envoy joins them.
func (l *Limits) read(above string, fields map[string]*structpb.Value) error {
	for _, k := range slices.Sorted(maps.Keys(fields)) {
		key := join(above, k)
		if inner := fields[k].GetStructValue(); inner != nil {
			if err := l.read(key, inner.GetFields()); err != nil {
				return err
			}
			continue
		}
		v, ok := fields[k].GetKind().(*structpb.Value_NumberValue)
		name := strings.TrimSuffix(strings.TrimPrefix(key, listenerPrefix), listenerConnection)
		of := key == listenerPrefix+name+listenerConnection && name != ""
		switch {
		case !of && key != allConnections:
			return strict.Errorf(key, "%w", strict.ErrUnsupported)
		case !ok || v.NumberValue < 0 || v.NumberValue > math.MaxInt32 || v.NumberValue != math.Trunc(v.NumberValue):
			return strict.Errorf(key, "not a number of connections")
		case of:
			l.ListenerConnections[name] = int(v.NumberValue)
		default:
			n := int(v.NumberValue)
			l.Connections = &n
		}
	}
	return nil
}
