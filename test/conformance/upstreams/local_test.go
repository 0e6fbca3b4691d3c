package upstreams

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	. "github.com/usher-mesh/usher/test/conformance/beside"
	"github.com/usher-mesh/usher/test/harness"
)

// TestSameProxiedByItself compares what connections begin with that the proxy makes by itself
// or for copies of requests, and the counters.
func TestSameProxiedByItself(t *testing.T) {
	say := func(p Program) (out []string) {
		var clusters List
		servers := map[string]*proxiedServer{}
		names := []string{"checks1", "checks2", "mirror1", "mirror2", "authz1", "authz2"}
		for _, name := range names {
			s, port := serveProxied(t, false)
			servers[name] = s
			c := Cluster(name, port, false)
			c["transport_socket"] = told(t, `{version: V`+name[len(name)-1:]+`}`)
			if strings.HasPrefix(name, "checks") {
				var checks List
				Read(t, `[{timeout: 5s, interval: 100s, unhealthy_threshold: 1, healthy_threshold: 1, http_health_check: {path: /}}]`, &checks)
				c["health_checks"] = checks
			}
			clusters = append(clusters, c)
		}
		at := harness.FreePorts(t, 2)
		var routes, filters List
		Read(t, `[{match: {prefix: /}, route: {cluster: mirror1, request_mirror_policies: [{cluster: mirror2}]}}]`, &routes)
		Read(t, `[{name: a1, typed_config: {"@type": `+Types+`filters.http.ext_authz.v3.ExtAuthz, http_service: {server_uri: {uri: "http://x", cluster: authz1, timeout: 5s}}}},
			{name: a2, typed_config: {"@type": `+Types+`filters.http.ext_authz.v3.ExtAuthz, http_service: {server_uri: {uri: "http://x", cluster: authz2, timeout: 5s}}}}]`, &filters)
		l := Listener("l", at[0], Object{"http_filters": filters, "route_config": Object{"virtual_hosts": List{Object{"name": "v", "domains": List{"*"}, "routes": routes}}}})
		defer Start(t, at, Bootstrap(at[1], List{l}, clusters), p)()
		rs, _, err := (&Ask{}).Send(at[0])
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, fmt.Sprint(rs.StatusCode))
		for _, name := range names {
			var heads []string
			harness.Eventually(t, 10*time.Second, name+" is connected to", func() (bool, any) {
				heads = servers[name].seen()
				return len(heads) > 0, heads
			})
			for i, h := range heads {
				heads[i] = ports.ReplaceAllString(h, "PORT")
			}
			out = append(out, name+": "+strings.Join(heads, ", "))
		}
		stats, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/stats?filter=proxy_protocol|proxyproto", at[1]))
		if err != nil {
			t.Fatal(err)
		}
		defer stats.Body.Close()
		b, _ := io.ReadAll(stats.Body)
		lines := strings.Split(strings.TrimSpace(string(b)), "\n")
		slices.Sort(lines)
		return append(out, lines...)
	}
	both := Programs(t)
	e, u := say(both[0]), say(both[1])
	if !slices.Equal(e, u) {
		t.Errorf("Envoy\n%s\nusher\n%s", strings.Join(e, "\n"), strings.Join(u, "\n"))
	}
}
