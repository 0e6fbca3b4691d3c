package router

import (
	"fmt"
	"strings"
	"testing"

	"github.com/usher-mesh/usher/test/conformance/beside"
)

// TestSameElsewhere: to which priority a request goes that is sent again. Where it ends tells,
// since nobody listens at all endpoints but one.
func TestSameElsewhere(t *testing.T) {
	clusters := ""
	var routes, counters []string
	var asks []ask
	for name, ports := range map[string]string{"second": "1 PORT", "third": "1 1 PORT", "first": "PORT 1", "nobody": "1 1"} {
		var endpoints []string
		for i, port := range strings.Fields(ports) {
			endpoints = append(endpoints, fmt.Sprintf("{priority: %d, lb_endpoints: [{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: %s}}}}]}", i, port))
		}
		clusters += fmt.Sprintf("\n  - {name: %s, type: STATIC, connect_timeout: 1s, load_assignment: {cluster_name: c, endpoints: [%s]}}", name, strings.Join(endpoints, ", "))
		counters = append(counters, "cluster."+name+".upstream_cx_total")
		for _, every := range []int{0, 1, 2} {
			for retries := 1; retries < 5; retries++ {
				path, priority := fmt.Sprintf("/%s/%d/%d", name, every, retries), ""
				if every > 0 {
					priority = fmt.Sprintf(`retry_priority: {name: p, typed_config: {"@type": %sretry.priority.previous_priorities.v3.PreviousPrioritiesConfig, update_frequency: %d}},`, beside.Types, every)
				}
				routes = append(routes, fmt.Sprintf("{match: {path: %s}, route: {cluster: %s, retry_policy: {retry_on: connect-failure, num_retries: %d, %s retry_back_off: {base_interval: 0.001s}}}}", path, name, retries, priority))
				asks = append(asks, ask{path: path})
			}
		}
	}
	routes = append(routes, fmt.Sprintf(`{match: {prefix: /fail}, route: {cluster: first, retry_policy: {retry_on: 5xx, num_retries: 4, retry_back_off: {base_interval: 0.001s},
        retry_priority: {name: p, typed_config: {"@type": %sretry.priority.previous_priorities.v3.PreviousPrioritiesConfig, update_frequency: 1}}}}}`, beside.Types))
	asks = append(asks, ask{path: "/fail/2/503"}, ask{path: "/fail/1/503"}, ask{path: "/fail/3/503"}) // both priorities, and again
	worlds := []*world{{name: "priorities", router: "suppress_envoy_headers: true", routes: "[" + strings.Join(routes, ",\n      ") + "]", asks: asks}}
	compare(t, worlds, clusters, counters...)
}
