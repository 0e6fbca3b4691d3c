package hcm

import (
	"testing"

	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"

	"github.com/usher-mesh/usher/internal/proxy/proxytest"
)

// TestRefused names what is not taken, with its place.
func TestRefused(t *testing.T) {
	const router = `{name: r, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}`
	for text, want := range map[string]string{
		"{http_filters: [{name: cors}, " + router + "]}": "http_filters[0].typed_config: missing",
		"{http_filters: [{name: cors}]}":                 "http_filters: the last one must be the router",
		`{http_filters: [{name: e, typed_config: {"@type": type.googleapis.com/google.protobuf.Empty}}, ` + router + "]}": "http_filters[0].typed_config: type.googleapis.com/google.protobuf.Empty: not supported",
		"{upgrade_configs: [{upgrade_type: ws}, {upgrade_type: WS, enabled: false}], http_filters: [" + router + "]}":     `upgrade_configs[1].upgrade_type: "ws" is there already`,
	} {
		m := proxytest.Decode(t, text, &hcmv3.HttpConnectionManager{StatPrefix: "s"})
		if m.GetRouteSpecifier() == nil {
			m.RouteSpecifier = &hcmv3.HttpConnectionManager_RouteConfig{}
		}
		if _, err := Compile(m, Options{}); err == nil || err.Error() != want {
			t.Errorf("%s:\ngot  %v\nwant %s", text, err, want)
		}
	}
}
