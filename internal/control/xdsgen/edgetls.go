package xdsgen

import (
	"net/netip"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/usher-mesh/usher/internal/mesh"
)

// edgeTLS is how a gateway's server ends TLS.
func edgeTLS(t *mesh.ServerTLS, namespace string) *corev3.TransportSocket {
	name := secretName(namespace, t.Credential)
	c := &tlsv3.CommonTlsContext{
		TlsParams:                      tlsBounds(t),
		AlpnProtocols:                  []string{"h2", "http/1.1"},
		TlsCertificateSdsSecretConfigs: []*tlsv3.SdsSecretConfig{adsSecret(name)},
	}
	roots := adsSecret(name + caSuffix)
	switch {
	case t.Mutual && len(t.ClientNames) > 0:
		c.ValidationContextType = &tlsv3.CommonTlsContext_CombinedValidationContext{
			CombinedValidationContext: &tlsv3.CommonTlsContext_CombinedCertificateValidationContext{
				DefaultValidationContext:         &tlsv3.CertificateValidationContext{MatchTypedSubjectAltNames: clientNames(t.ClientNames)},
				ValidationContextSdsSecretConfig: roots,
			},
		}
	case t.Mutual:
		c.ValidationContextType = &tlsv3.CommonTlsContext_ValidationContextSdsSecretConfig{ValidationContextSdsSecretConfig: roots}
	}
	return socket(tlsSocket, pack(&tlsv3.DownstreamTlsContext{
		CommonTlsContext: c, RequireClientCertificate: wrapperspb.Bool(t.Mutual),
	}))
}

var tlsVersions = map[mesh.TLSVersion]tlsv3.TlsParameters_TlsProtocol{
	mesh.TLS12: tlsv3.TlsParameters_TLSv1_2, mesh.TLS13: tlsv3.TlsParameters_TLSv1_3,
}

// tlsBounds is nil without bounds: then they are the proxy's own.
func tlsBounds(t *mesh.ServerTLS) *tlsv3.TlsParameters {
	if t.Min == mesh.AnyTLS && t.Max == mesh.AnyTLS {
		return nil
	}
	return &tlsv3.TlsParameters{TlsMinimumProtocolVersion: tlsVersions[t.Min], TlsMaximumProtocolVersion: tlsVersions[t.Max]}
}

// clientNames matches names of the one kind that each can be.
func clientNames(names []string) []*tlsv3.SubjectAltNameMatcher {
	out := make([]*tlsv3.SubjectAltNameMatcher, len(names))
	for i, n := range names {
		kind := tlsv3.SubjectAltNameMatcher_DNS
		if ip, err := netip.ParseAddr(n); err == nil {
			kind, n = tlsv3.SubjectAltNameMatcher_IP_ADDRESS, ip.String()
		} else if strings.Contains(n, ":") {
			kind = tlsv3.SubjectAltNameMatcher_URI
		} else if strings.Contains(n, "@") {
			kind = tlsv3.SubjectAltNameMatcher_EMAIL
		}
		out[i] = &tlsv3.SubjectAltNameMatcher{SanType: kind, Matcher: exact(n)}
	}
	return out
}
