package translate

import (
	networkingapi "istio.io/api/networking/v1alpha3"

	"github.com/usher-mesh/usher/internal/mesh"
)

var usedServerTLS = set("mode", "credentialName", "subjectAltNames", "minProtocolVersion", "maxProtocolVersion")

// serverTLS is how a server ends TLS, nil for one in clear. It is false for a
// server that cannot be opened. All TLS settings say who may connect and how, so
// none may be left out: one that is not supported keeps the server closed.
func serverTLS(in *networkingapi.Server, secure bool, path string, v *verdict) (*mesh.ServerTLS, bool) {
	t := in.GetTls()
	if !secure {
		for _, f := range ignored(t, set("httpsRedirect")) {
			v.refuse(reasonInvalid, "%s.%s: a server of protocol %s takes no TLS settings but httpsRedirect", path, f, in.GetPort().GetProtocol())
			return nil, false
		}
		return nil, true
	}
	out := &mesh.ServerTLS{Credential: t.GetCredentialName(), ClientNames: t.GetSubjectAltNames()}
	switch t.GetMode() {
	case networkingapi.ServerTLSSettings_SIMPLE:
	case networkingapi.ServerTLSSettings_MUTUAL:
		out.Mutual = true
	default:
		v.refuse(reasonUnsupported, "%s.mode: %s is not supported yet", path, t.GetMode())
		return nil, false
	}
	if out.Credential == "" {
		v.refuse(reasonUnsupported, "%s.credentialName: must be given; certificates in files are not supported", path)
		return nil, false
	}
	for _, f := range ignored(t, usedServerTLS) {
		v.refuse(reasonUnsupported, "%s.%s is not supported yet; the server stays closed", path, f)
		return nil, false
	}
	if len(out.ClientNames) > 0 && !out.Mutual {
		v.refuse(reasonInvalid, "%s.subjectAltNames: needs mode MUTUAL", path)
		return nil, false
	}
	var low, high bool
	out.Min, low = tlsVersion(t.GetMinProtocolVersion(), path+".minProtocolVersion", v)
	out.Max, high = tlsVersion(t.GetMaxProtocolVersion(), path+".maxProtocolVersion", v)
	if !low || !high {
		return nil, false
	}
	if out.Max != mesh.AnyTLS && out.Min > out.Max {
		v.refuse(reasonInvalid, "%s.maxProtocolVersion: is below minProtocolVersion", path)
		return nil, false
	}
	return out, true
}

func tlsVersion(in networkingapi.ServerTLSSettings_TLSProtocol, path string, v *verdict) (mesh.TLSVersion, bool) {
	switch in {
	case networkingapi.ServerTLSSettings_TLS_AUTO:
		return mesh.AnyTLS, true
	case networkingapi.ServerTLSSettings_TLSV1_2:
		return mesh.TLS12, true
	case networkingapi.ServerTLSSettings_TLSV1_3:
		return mesh.TLS13, true
	}
	v.refuse(reasonUnsupported, "%s: %s is not supported; TLS 1.2 is the oldest", path, in)
	return mesh.AnyTLS, false
}
