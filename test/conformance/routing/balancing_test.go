package routing

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"

	"github.com/usher-mesh/usher/test/harness"
)

// TestSameEndpoint holds that what keeps to one endpoint keeps to the same as in Envoy,
// whatever the request is hashed by and the table is made of.
func TestSameEndpoint(t *testing.T) {
	envoy, usher := harness.Envoy(t), harness.Bin(t, "usher-proxy")
	var ports []int
	for i := range 5 {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, fmt.Sprint("server ", i)) })}
		go server.Serve(ln)
		t.Cleanup(func() { server.Close() })
		ports = append(ports, ln.Addr().(*net.TCPAddr).Port)
	}
	header := object{"header": object{"header_name": "x-h"}}
	var clusters, routes list
	var paths []string
	for _, c := range []struct {
		name    string
		weights []int // of endpoints; none: all the same
		fields  object
		hash    list
	}{
		{"ring", nil, object{"lb_policy": "RING_HASH"}, list{header}},
		{"murmur", nil, object{"lb_policy": "RING_HASH", "ring_hash_lb_config": object{"hash_function": "MURMUR_HASH_2"}}, list{header}},
		{"small", nil, object{"lb_policy": "RING_HASH", "ring_hash_lb_config": object{"minimum_ring_size": 7, "maximum_ring_size": 11}}, list{header}},
		{"weighted-ring", []int{1, 2, 3, 4, 90}, object{"lb_policy": "RING_HASH"}, list{header}},
		{"maglev", nil, object{"lb_policy": "MAGLEV"}, list{header}},
		{"weighted-maglev", []int{1, 2, 3, 4, 90}, object{"lb_policy": "MAGLEV", "maglev_lb_config": object{"table_size": 251}}, list{header}},
		{"query", nil, object{"lb_policy": "RING_HASH"}, list{object{"query_parameter": object{"name": "q"}}}},
		{"two", nil, object{"lb_policy": "MAGLEV"}, list{header, object{"query_parameter": object{"name": "q"}}}},
		{"terminal", nil, object{"lb_policy": "MAGLEV"}, list{object{"header": object{"header_name": "x-h"}, "terminal": true}, object{"query_parameter": object{"name": "q"}}}},
		{"source", nil, object{"lb_policy": "MAGLEV"}, list{object{"connection_properties": object{"source_ip": true}}}},
		{"cookie", nil, object{"lb_policy": "RING_HASH"}, list{object{"cookie": object{"name": "c"}}}},
		{"rewritten", nil, object{"lb_policy": "MAGLEV"}, list{object{"header": object{"header_name": "x-h", "regex_rewrite": object{
			"pattern": object{"regex": "^v([0-9])"}, "substitution": "\\1-"}}}}},
	} {
		var endpoints list
		for i, port := range ports {
			e := object{"endpoint": object{"address": address(port)}}
			if c.weights != nil {
				e["load_balancing_weight"] = c.weights[i]
			}
			endpoints = append(endpoints, e)
		}
		c.fields["name"], c.fields["type"] = c.name, "STATIC"
		c.fields["load_assignment"] = object{"cluster_name": c.name, "endpoints": list{object{"lb_endpoints": endpoints}}}
		clusters = append(clusters, c.fields)
		routes = append(routes, object{"match": object{"path": "/" + c.name}, "route": object{"cluster": c.name, "hash_policy": c.hash}})
		paths = append(paths, "/"+c.name)
	}
	at := harness.FreePorts(t, 1)
	file := write(t, list{listener("l", at[0], object{"name": "r", "virtual_hosts": list{object{"name": "v", "domains": list{"*"}, "routes": routes}}})}, clusters)
	var all []*request
	for _, path := range paths {
		for i := range 200 {
			all = append(all, &request{method: "GET", host: "h", path: fmt.Sprintf("%s?q=%d", path, i*i), headers: [][2]string{{"X-H", fmt.Sprint("v", i)}, {"Cookie", fmt.Sprint("c=", i)}}})
		}
	}
	e := answers(t, all, at, envoy, "-c", file, "--concurrency", "1", "--disable-hot-restart", "-l", "error")
	u := answers(t, all, at, usher, "-c", file)
	different := map[string]int{}
	servers := map[string]map[string]bool{}
	for i := range all {
		path := paths[i/200]
		if servers[path] == nil {
			servers[path] = map[string]bool{}
		}
		servers[path][e[i]] = true
		if e[i] != u[i] {
			different[path]++
		}
	}
	for _, path := range paths {
		if different[path] > 0 {
			t.Errorf("%s: %d of 200 go elsewhere", path, different[path])
		}
		if n := len(servers[path]); n < 2 && path != "/source" {
			t.Errorf("%s: all go to one: nothing is shown", path)
		}
	}
}
