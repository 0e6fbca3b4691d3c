package listener

import (
	"testing"

	tcpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/tcp_proxy/v3"

	"github.com/usher-mesh/usher/internal/proxy/proxytest"
)

// Lines in the midst of a connection are refused by their path.
func TestTCPAccessLogOptionsRefused(t *testing.T) {
	m := proxytest.Decode(t, "stat_prefix: x\ncluster: c\naccess_log_options: {flush_access_log_on_connected: true, access_log_flush_interval: 5s}", new(tcpv3.TcpProxy))
	if _, err := compileTCP(m, "l", Options{}); err == nil || err.Error() != "access_log_options.access_log_flush_interval: not supported" {
		t.Error(err)
	}
}
