package bootstrap

import (
	"maps"
	"strings"
	"testing"
)

func TestLimits(t *testing.T) {
	b, err := Parse([]byte(`layered_runtime:
  layers:
  - name: one
    static_layer:
      envoy: {resource_limits: {listener: {a.b: {connection_limit: 5}, c: {connection_limit: 6}}}}
      overload.global_downstream_max_connections: 9
  - name: two
    static_layer: {envoy.resource_limits.listener.c.connection_limit: 0}
`))
	if err != nil {
		t.Fatal(err)
	}
	l := LimitsOf(b)
	if l.Connections == nil || *l.Connections != 9 || !maps.Equal(l.ListenerConnections, map[string]int{"a.b": 5, "c": 0}) {
		t.Errorf("%v %v", l.Connections, l.ListenerConnections)
	}
	for text, want := range map[string]string{
		"{name: a, static_layer: {envoy.reloadable_features.x: true}}":                           "layers[0].static_layer.envoy.reloadable_features.x: not supported",
		"{name: a, static_layer: {overload: {global_downstream_max_connections: -1}}}":           "overload.global_downstream_max_connections: not a number",
		"{name: a, static_layer: {overload: {global_downstream_max_connections: 1.5}}}":          "not a number",
		"{name: a, static_layer: {envoy: {resource_limits: {listener: {connection_limit: 1}}}}}": "listener.connection_limit: not supported",
		"{name: a, static_layer: {}}, {name: a, static_layer: {}}":                               `layers[1].name: "a" is there already`,
		"{name: a, disk_layer: {symlink_root: /x}}":                                              "layers[0].disk_layer: not supported",
		"{static_layer: {}}": "layers[0].name: empty",
	} {
		if _, err := Parse([]byte("layered_runtime: {layers: [" + text + "]}")); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// TestSpelled: what Envoy's parser takes besides protojson's is taken, and no more.
func TestSpelled(t *testing.T) {
	text := strings.NewReplacer("connect_timeout: 30s", "connect_timeout: {seconds: 30, nanos: 5}", `domains: ["*"]`, `domains: "*"`,
		"      - lb_endpoints:\n        - endpoint:\n            address:\n", "        lb_endpoints:\n          endpoint:\n            address:\n").Replace(demo)
	b, err := Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	c := b.GetStaticResources().GetClusters()[0]
	if d := c.GetConnectTimeout().AsDuration(); d != 30e9+5 {
		t.Error(d)
	}
	if n := len(c.GetLoadAssignment().GetEndpoints()[0].GetLbEndpoints()); n != 1 {
		t.Errorf("%d endpoints", n)
	}
	for _, bad := range []string{"{seconds: x}", "{seconds: 1.5}", "{minutes: 1}", "{nanos: 1000000000}", "{seconds: -1}", "[30s]", "{seconds: 1e30}"} {
		if _, err := Parse([]byte(strings.Replace(demo, "connect_timeout: 30s", "connect_timeout: "+bad, 1))); err == nil || !strings.Contains(err.Error(), "connect_timeout") {
			t.Errorf("%s: %v", bad, err)
		}
	}
}
