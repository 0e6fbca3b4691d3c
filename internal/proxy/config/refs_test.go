package config

import (
	"testing"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"

	"github.com/usher-mesh/usher/internal/proxy/proxytest"
)

// TestSecretsOfProxiedClusters: secrets are asked for that TLS below the PROXY protocol names.
func TestSecretsOfProxiedClusters(t *testing.T) {
	m := new(clusterv3.Cluster)
	proxytest.Decode(t, `{name: c, transport_socket: {name: p, typed_config: {"@type": type.googleapis.com/envoy.extensions.transport_sockets.proxy_protocol.v3.ProxyProtocolUpstreamTransport,
		transport_socket: {name: t, typed_config: {"@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext,
		common_tls_context: {validation_context_sds_secret_config: {name: roots, sds_config: {ads: {}}}}}}}}}`, m)
	r := newRefs()
	r.cluster(m)
	if !r.secrets["roots"] {
		t.Errorf("%v", r.secrets)
	}
}
