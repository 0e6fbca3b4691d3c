package hcm

import (
	"strings"
	"testing"

	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
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

// The line of a request's begin is written where it is asked for, and not again when a lasting
// connection is judged again.
func TestLogsNew(t *testing.T) {
	for _, tt := range []struct {
		wanted, again bool
		want          string
	}{{false, false, ""}, {true, false, "DownstreamStart"}, {true, true, ""}} {
		x := &exchange.Exchange{Conn: new(exchange.Conn), Again: tt.again}
		if !(&session{m: &Manager{logsNew: tt.wanted}, c: &Connection{Info: x.Conn}, x: x}).admit() || x.LogType != tt.want {
			t.Errorf("wanted %v, again %v: %q", tt.wanted, tt.again, x.LogType)
		}
	}
}
