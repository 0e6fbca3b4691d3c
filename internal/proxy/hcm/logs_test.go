package hcm

import (
	"strings"
	"testing"

	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"

	"github.com/usher-mesh/usher/internal/proxy/proxytest"
)

// Lines in the midst of a request are refused by their path.
func TestAccessLogOptionsRefused(t *testing.T) {
	for _, field := range []string{"access_log_flush_interval: 5s", "flush_log_on_tunnel_successfully_established: true"} {
		m := proxytest.Decode(t, `stat_prefix: x
route_config: {}
http_filters: [{name: router, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}]
access_log_options: {flush_access_log_on_new_request: true, `+field+`}`, new(hcmv3.HttpConnectionManager))
		name, _, _ := strings.Cut(field, ":")
		if _, err := Compile(m, Options{}); err == nil || err.Error() != "access_log_options."+name+": not supported" {
			t.Errorf("%s: %v", field, err)
		}
	}
}
