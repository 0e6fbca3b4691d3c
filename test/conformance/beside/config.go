// Package beside has what suites share that run usher-proxy and a real Envoy on one
// bootstrap file, and ask both the same: pieces of configuration, servers, requests.
package beside

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/usher-mesh/usher/test/harness"
)

// Object and List are messages and repeated fields in the JSON form of protobuf.
type (
	Object = map[string]any
	List   = []any
)

// Types begins the type URLs of Envoy's extensions.
const Types = "type.googleapis.com/envoy.extensions."

// Read reads YAML over what is there.
func Read(t testing.TB, text string, into any) {
	t.Helper()
	if err := yaml.Unmarshal([]byte(text), into); err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
}

// Address is a core.Address on 127.0.0.1.
func Address(port int) Object {
	return Object{"socket_address": Object{"address": "127.0.0.1", "port_value": port}}
}

// Cluster is a static cluster of one host.
func Cluster(name string, port int, http2 bool) Object {
	c := Object{"name": name, "type": "STATIC", "connect_timeout": "1s", "load_assignment": Object{"cluster_name": name,
		"endpoints": List{Object{"lb_endpoints": List{Object{"endpoint": Object{"address": Address(port)}}}}}}}
	if http2 {
		c["typed_extension_protocol_options"] = Object{"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": Object{
			"@type": Types + "upstreams.http.v3.HttpProtocolOptions", "explicit_http_config": Object{"http2_protocol_options": Object{}}}}
	}
	return c
}

// Listener has one HttpConnectionManager, which gets its type, its name and the router
// behind the HTTP filters that it has.
func Listener(name string, port int, manager Object) Object {
	filters, _ := manager["http_filters"].(List)
	manager["http_filters"] = append(filters, Object{"name": "router", "typed_config": Object{"@type": Types + "filters.http.router.v3.Router"}})
	manager["@type"], manager["stat_prefix"] = Types+"filters.network.http_connection_manager.v3.HttpConnectionManager", name
	return Object{"name": name, "address": Address(port), "filter_chains": List{Object{"filters": List{Object{"name": "hcm", "typed_config": manager}}}}}
}

// Bootstrap has static resources alone.
func Bootstrap(admin int, listeners, clusters List) Object {
	return Object{"node": Object{"id": "x", "cluster": "x"}, "admin": Object{"address": Address(admin)},
		"static_resources": Object{"listeners": listeners, "clusters": clusters}}
}

// Start starts a program on a bootstrap file, and waits until it listens on these ports.
func Start(t testing.TB, ports []int, bootstrap Object, program Program) (stop func()) {
	t.Helper()
	b, err := json.Marshal(bootstrap)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "bootstrap.json")
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return harness.Serve(t, ports, program.Path, append([]string{"-c", file}, program.Args...)...)
}

// Program is one of the two.
type Program struct {
	Path  string
	Args  []string
	Envoy bool
}

// Programs are a real Envoy, which writes by one thread, soon, and usher-proxy.
func Programs(t testing.TB) [2]Program {
	t.Helper()
	return [2]Program{
		{harness.Envoy(t), []string{"--concurrency", "1", "--disable-hot-restart", "-l", "error", "--file-flush-interval-msec", "10"}, true},
		{harness.Bin(t, "usher-proxy"), nil, false},
	}
}

// Refused starts a program on a bootstrap file that it must not start from, and gives what
// it says.
func Refused(t testing.TB, bootstrap Object, program Program) string {
	t.Helper()
	b, err := json.Marshal(bootstrap)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "bootstrap.json")
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, program.Path, append([]string{"-c", file}, program.Args...)...).CombinedOutput()
	if err == nil || ctx.Err() != nil {
		t.Errorf("%s starts: %s", program.Path, out)
	}
	return string(out)
}
