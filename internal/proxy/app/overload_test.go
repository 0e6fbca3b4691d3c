package app

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"

	overloadv3 "github.com/envoyproxy/go-control-plane/envoy/config/overload/v3"

	"github.com/usher-mesh/usher/internal/proxy/metrics"
	"github.com/usher-mesh/usher/internal/proxy/overload"
)

// TestOverloadNames: what is measured has Envoy's name in its text, and Prometheus' in that.
func TestOverloadNames(t *testing.T) {
	c := new(overloadv3.OverloadManager)
	if err := protojson.Unmarshal([]byte(`{"resource_monitors": [{"name": "envoy.resource_monitors.fixed_heap", "typed_config": {
		"@type": "type.googleapis.com/envoy.extensions.resource_monitors.fixed_heap.v3.FixedHeapConfig", "max_heap_size_bytes": "1073741824"}}],
		"actions": [{"name": "envoy.overload_actions.shrink_heap", "triggers": [{"name": "envoy.resource_monitors.fixed_heap", "threshold": {"value": 0.9}}]}]}`), c); err != nil {
		t.Fatal(err)
	}
	o, err := overload.Compile(c, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	m := metrics.New(metrics.Self{})
	addOverload(m, o)
	var text, prom bytes.Buffer
	if err := m.WriteText(&text, metrics.Query{}); err != nil {
		t.Fatal(err)
	}
	if err := m.WritePrometheus(&prom, metrics.Query{}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"resource_monitors.fixed_heap.pressure", "resource_monitors.fixed_heap.failed_updates", "overload_actions.shrink_heap.active", "overload_actions.shrink_heap.scale_percent"} {
		if !strings.Contains(text.String(), "overload.envoy."+name+": 0\n") {
			t.Errorf("%s is not in %q", name, text.String())
		}
		if !strings.Contains(prom.String(), "\nenvoy_overload_envoy_"+strings.ReplaceAll(name, ".", "_")+" 0\n") {
			t.Errorf("%s is not in %q", name, prom.String())
		}
	}
}
