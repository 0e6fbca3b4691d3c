package routing

import (
	"fmt"
	"net/http"
	"slices"
	"testing"

	"github.com/usher-mesh/usher/test/harness"
)

// TestSameHealth holds that the same endpoints are asked where they are checked, from the
// first request on.
func TestSameHealth(t *testing.T) {
	ports := servers(t)
	closed := append(slices.Clone(ports[:4]), harness.FreePorts(t, 1)[0])
	type scenario struct {
		name        string
		bad, answer string // of requests
		ports       []int
		check       object
	}
	by := func(path string, more object) object {
		h := object{"path": path}
		for k, v := range more {
			h[k] = v
		}
		return object{"http_health_check": h}
	}
	all := []scenario{
		{"good", "", "", ports, by("/?bad=", nil)},
		{"bad", "", "", ports, by("/?bad=0&answer=503", nil)},
		{"not-200", "", "", ports, by("/?bad=12&answer=204", nil)},
		{"expected", "", "", ports, by("/?bad=12&answer=404", object{"expected_statuses": list{object{"start": 200, "end": 201}, object{"start": 400, "end": 500}}})},
		{"degraded", "", "", ports, by("/?bad=3&answer=degraded", nil)},
		{"excluded", "", "", ports, by("/?bad=012&answer=out", object{"expected_statuses": list{object{"start": 201, "end": 202}}, "retriable_statuses": list{object{"start": 200, "end": 201}}})},
		{"content", "", "", ports, by("/", object{"receive": list{object{"text": "34"}}})},
		{"late", "", "", ports, by("/?bad=4&answer=hang", nil)},
		{"service", "", "", ports, by("/", object{"service_name_matcher": object{"prefix": "x"}})},
		{"http2", "", "", ports, by("/?bad=0&answer=503", object{"codec_client_type": "HTTP2"})},
		{"all-bad", "", "", ports, by("/?bad=01234&answer=503", nil)},
		{"most-bad", "", "", ports, by("/?bad=012&answer=503", nil)},
		{"told-to-go", "1", "out", ports, by("/?bad=", nil)},
		{"connect", "", "", closed, object{"tcp_health_check": object{}}},
		{"bytes", "", "", closed, object{"tcp_health_check": object{"send": object{"text": "474554202f20485454502f312e310d0a486f73743a20780d0a0d0a"}, "receive": list{object{"text": "323030"}, object{"text": "0d0a"}}}}},
		{"bytes-unlike", "", "", ports, object{"tcp_health_check": object{"send": object{"text": "474554202f20485454502f312e310d0a486f73743a20780d0a0d0a"}, "receive": list{object{"text": "353030"}}}}},
		{"grpc", "", "", ports, object{"grpc_health_check": object{}}},
	}
	var clusters, routes list
	for _, s := range all {
		for k, v := range (object{"timeout": "2s", "interval": "100s", "no_traffic_interval": "100s", "unhealthy_threshold": 2, "healthy_threshold": 2}) {
			s.check[k] = v
		}
		c := balanced(s.name, s.ports, object{"health_checks": list{s.check}, "common_lb_config": object{"update_merge_window": "0s"}})
		if s.name == "grpc" {
			c["typed_extension_protocol_options"] = object{"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": object{
				"@type": types + "extensions.upstreams.http.v3.HttpProtocolOptions", "explicit_http_config": object{"http2_protocol_options": object{}}}}
		}
		clusters = append(clusters, c)
		routes = append(routes, object{"match": object{"path": "/" + s.name}, "route": object{"cluster": s.name}})
	}
	both(t, clusters, routes, func(port, admin int) (out []string) {
		client := &http.Client{Transport: &http.Transport{}}
		defer client.CloseIdleConnections()
		for _, s := range all {
			first := asked(client, port, "/"+s.name, s.bad, s.answer, 50)
			out = append(out, fmt.Sprintf("%s: %s answer, then %s (%s)", s.name, first, asked(client, port, "/"+s.name, s.bad, s.answer, 50), counted(t, admin, s.name, "health_check_")))
		}
		return out
	})
}
