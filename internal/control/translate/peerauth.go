package translate

import (
	securityapi "istio.io/api/security/v1beta1"
	securityv1 "istio.io/client-go/pkg/apis/security/v1"

	"github.com/usher-mesh/usher/internal/mesh"
)

// peerAuthentication is a PeerAuthentication by itself. A mode of 0 inherits.
type peerAuthentication struct {
	ref    mesh.Ref
	object *securityv1.PeerAuthentication
	selection
	mode    mesh.MTLSMode
	ports   map[uint16]mesh.MTLSMode
	verdict verdict
}

func translatePeer(ref mesh.Ref, o *securityv1.PeerAuthentication) *peerAuthentication {
	p := &peerAuthentication{ref: ref, object: o}
	p.selection = selectionOf(o.Namespace, o.Spec.Selector, nil, nil, &p.verdict)
	if len(p.labels) > 0 {
		p.namespace = o.Namespace // also in the root namespace, as in Istio
	}
	p.mode = mtlsMode(o.Spec.Mtls)
	if len(o.Spec.PortLevelMtls) > 0 && len(p.labels) == 0 {
		p.verdict.refuse(reasonInvalid, "spec.portLevelMtls: needs a selector")
	}
	for n, m := range o.Spec.PortLevelMtls {
		if n == 0 || n > 65535 {
			p.verdict.refuse(reasonInvalid, "spec.portLevelMtls: %d is not a port", n)
			continue
		}
		if mode := mtlsMode(m); mode != 0 {
			if p.ports == nil {
				p.ports = map[uint16]mesh.MTLSMode{}
			}
			p.ports[uint16(n)] = mode
		}
	}
	return p
}

func mtlsMode(m *securityapi.PeerAuthentication_MutualTLS) mesh.MTLSMode {
	switch m.GetMode() {
	case securityapi.PeerAuthentication_MutualTLS_DISABLE:
		return mesh.Disable
	case securityapi.PeerAuthentication_MutualTLS_PERMISSIVE:
		return mesh.Permissive
	case securityapi.PeerAuthentication_MutualTLS_STRICT:
		return mesh.Strict
	}
	return 0
}

const scopes = 3

// scope orders PeerAuthentications: a workload's own beats its namespace's, which
// beats the mesh's.
func (p *peerAuthentication) scope() int {
	switch {
	case len(p.labels) > 0:
		return 0
	case p.namespace != "":
		return 1
	}
	return 2
}
