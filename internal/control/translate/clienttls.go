package translate

import (
	"fmt"
	"maps"

	networkingapi "istio.io/api/networking/v1alpha3"

	"github.com/usher-mesh/usher/internal/mesh"
)

// clientTLS is how a traffic policy has clients connect; otherwise where it says
// nothing. As in Istio, a port's own settings take nothing over from the policy
// that they stand in.
func clientTLS(t *networkingapi.TrafficPolicy, path string, otherwise mesh.ClientTLS, v *verdict) mesh.ClientTLS {
	out := mesh.ClientTLS{Mode: otherwise.Mode, Ports: maps.Clone(otherwise.Ports)}
	if t.GetTls() != nil {
		out = mesh.ClientTLS{Mode: clientMode(t.Tls, path+".tls", v)}
	}
	for i, p := range t.GetPortLevelSettings() {
		if out.Ports == nil {
			out.Ports = map[uint16]mesh.ClientMode{}
		}
		out.Ports[uint16(p.GetPort().GetNumber())] = clientMode(p.GetTls(), fmt.Sprintf("%s.portLevelSettings[%d].tls", path, i), v)
	}
	return out
}

// clientMode gives no way for what is not supported: TLS settings say whom the
// client believes, so it must not go on with others.
func clientMode(t *networkingapi.ClientTLSSettings, path string, v *verdict) mesh.ClientMode {
	if t == nil {
		return mesh.AutoMTLS
	}
	switch t.Mode {
	case networkingapi.ClientTLSSettings_DISABLE:
		return mesh.NoTLS
	case networkingapi.ClientTLSSettings_ISTIO_MUTUAL:
	default:
		v.refuse(reasonUnsupported, "%s.mode: %s is not supported yet; clients answer 503", path, t.Mode)
		return mesh.NoWay
	}
	for _, f := range ignored(t, set("mode")) {
		v.refuse(reasonUnsupported, "%s.%s is not supported yet; clients answer 503", path, f)
		return mesh.NoWay
	}
	return mesh.MeshMTLS
}
