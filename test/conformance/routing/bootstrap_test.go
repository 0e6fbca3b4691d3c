package routing

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

type (
	object = map[string]any
	list   = []any
)

const types = "type.googleapis.com/envoy."

func address(port int) object {
	return object{"socket_address": object{"address": "127.0.0.1", "port_value": port}}
}

func cluster(name string, port int) object {
	endpoint := object{"endpoint": object{"address": address(port)}}
	return object{"name": name, "type": "STATIC", "connect_timeout": "1s",
		"load_assignment": object{"cluster_name": name, "endpoints": list{object{"lb_endpoints": list{endpoint}}}}}
}

// listener serves one route configuration. The RBAC filter lets everything in where a
// route does not say otherwise.
func listener(name string, port int, routes object) object {
	filters := list{
		object{"name": rbac, "typed_config": object{"@type": types + "extensions.filters.http.rbac.v3.RBAC"}},
		object{"name": "router", "typed_config": object{"@type": types + "extensions.filters.http.router.v3.Router"}},
	}
	hcm := object{"@type": types + "extensions.filters.network.http_connection_manager.v3.HttpConnectionManager", "stat_prefix": name,
		"generate_request_id": false, "route_config": routes, "http_filters": filters}
	return object{"name": name, "address": address(port), "filter_chains": list{object{"filters": list{object{"name": "hcm", "typed_config": hcm}}}}}
}

// write makes the bootstrap file that both programs get.
func write(t *testing.T, listeners, clusters list) string {
	t.Helper()
	return writeObject(t, object{"node": object{"id": "x", "cluster": "x"},
		"static_resources": object{"listeners": listeners, "clusters": clusters}})
}

// writeWithAdmin is write with an interface for administration.
func writeWithAdmin(t *testing.T, port int, listeners, clusters list) string {
	t.Helper()
	return writeObject(t, object{"node": object{"id": "x", "cluster": "x"}, "admin": object{"address": address(port)},
		"static_resources": object{"listeners": listeners, "clusters": clusters}})
}

func writeObject(t *testing.T, bootstrap object) string {
	t.Helper()
	b, err := json.MarshalIndent(bootstrap, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "bootstrap.json")
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
