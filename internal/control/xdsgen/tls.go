package xdsgen

import (
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	rawv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/raw_buffer/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// Names of the secrets that are a proxy's own, and of the cluster that stands
// for its identity.
const (
	ownCertificate = "default"
	ownRoots       = "ROOTCA"
	sdsCluster     = "sds-grpc"

	alpnIstio       = "istio"
	tlsSocket       = "envoy.transport_sockets.tls"
	rawSocket       = "envoy.transport_sockets.raw_buffer"
	controlIdentity = "spiffe://cluster.local/ns/istio-system/sa/istiod"
)

// ownSecret names a secret of the proxy's own identity.
func ownSecret(name string) *tlsv3.SdsSecretConfig {
	return &tlsv3.SdsSecretConfig{Name: name, SdsConfig: &corev3.ConfigSource{
		ResourceApiVersion: corev3.ApiVersion_V3,
		ConfigSourceSpecifier: &corev3.ConfigSource_ApiConfigSource{ApiConfigSource: &corev3.ApiConfigSource{
			ApiType: corev3.ApiConfigSource_GRPC, TransportApiVersion: corev3.ApiVersion_V3,
			SetNodeOnFirstMessageOnly: true,
			GrpcServices: []*corev3.GrpcService{{TargetSpecifier: &corev3.GrpcService_EnvoyGrpc_{
				EnvoyGrpc: &corev3.GrpcService_EnvoyGrpc{ClusterName: sdsCluster},
			}}},
		}},
	}}
}

func overADS() *corev3.ConfigSource {
	return &corev3.ConfigSource{
		ResourceApiVersion:    corev3.ApiVersion_V3,
		ConfigSourceSpecifier: &corev3.ConfigSource_Ads{Ads: &corev3.AggregatedConfigSource{}},
	}
}

func adsSecret(name string) *tlsv3.SdsSecretConfig {
	return &tlsv3.SdsSecretConfig{Name: name, SdsConfig: overADS()}
}

// trust verifies a peer by the mesh's roots and by its URI SAN.
func trust(sans ...*matcherv3.StringMatcher) *tlsv3.CommonTlsContext_CombinedValidationContext {
	v := &tlsv3.CertificateValidationContext{}
	for _, s := range sans {
		v.MatchTypedSubjectAltNames = append(v.MatchTypedSubjectAltNames, &tlsv3.SubjectAltNameMatcher{
			SanType: tlsv3.SubjectAltNameMatcher_URI, Matcher: s,
		})
	}
	return &tlsv3.CommonTlsContext_CombinedValidationContext{CombinedValidationContext: &tlsv3.CommonTlsContext_CombinedCertificateValidationContext{
		DefaultValidationContext: v, ValidationContextSdsSecretConfig: ownSecret(ownRoots),
	}}
}

// meshClient is a client's side of mTLS to a server that is one of the accounts.
func meshClient(sni string, accounts []string) *corev3.TransportSocket {
	sans := make([]*matcherv3.StringMatcher, len(accounts))
	for i, a := range accounts {
		sans[i] = exact(a)
	}
	return socket(tlsSocket, pack(&tlsv3.UpstreamTlsContext{
		Sni: sni,
		CommonTlsContext: &tlsv3.CommonTlsContext{
			AlpnProtocols:                  []string{alpnIstio},
			TlsCertificateSdsSecretConfigs: []*tlsv3.SdsSecretConfig{ownSecret(ownCertificate)},
			ValidationContextType:          trust(sans...),
		},
	}))
}

// meshServer is a workload's side of mTLS: any workload of the trust domain.
func meshServer(trustDomain string) *corev3.TransportSocket {
	return socket(tlsSocket, pack(&tlsv3.DownstreamTlsContext{
		RequireClientCertificate: wrapperspb.Bool(true),
		CommonTlsContext: &tlsv3.CommonTlsContext{
			AlpnProtocols:                  []string{alpnIstio, "h2", "http/1.1"},
			TlsCertificateSdsSecretConfigs: []*tlsv3.SdsSecretConfig{ownSecret(ownCertificate)},
			ValidationContextType:          trust(prefix("spiffe://" + trustDomain + "/")),
		},
	}))
}

func rawBuffer() *corev3.TransportSocket { return socket(rawSocket, pack(&rawv3.RawBuffer{})) }

// mirrorSocket is mTLS to the control plane, without the ALPN of the mesh.
func mirrorSocket() *corev3.TransportSocket {
	return socket(tlsSocket, pack(&tlsv3.UpstreamTlsContext{
		Sni: "istiod.istio-system.svc",
		CommonTlsContext: &tlsv3.CommonTlsContext{
			TlsCertificateSdsSecretConfigs: []*tlsv3.SdsSecretConfig{ownSecret(ownCertificate)},
			ValidationContextType:          trust(exact(controlIdentity)),
		},
	}))
}
