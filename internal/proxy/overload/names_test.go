package overload

import (
	"maps"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestNames: actions and points are taken, and told, by Envoy's names, in percent.
func TestNames(t *testing.T) {
	name := filepath.Join(t.TempDir(), "pressure")
	if err := os.WriteFile(name, []byte("0.75"), 0o600); err != nil {
		t.Fatal(err)
	}
	want := map[string]float64{"overload.f.pressure": 75, "overload.f.failed_updates": 0}
	act := func(name string) string {
		want["overload."+name+".active"], want["overload."+name+".scale_percent"] = 0, 50
		return "{name: " + name + ", triggers: [{name: f, scaled: {scaling_threshold: 0.5, saturation_threshold: 1}}]},"
	}
	text := "{resource_monitors: [" + file(name) + "], actions: ["
	for _, a := range []string{"stop_accepting_requests", "disable_http_keepalive", "stop_accepting_connections", "reject_incoming_connections", "shrink_heap"} {
		text += act("envoy.overload_actions." + a)
	}
	text += "], loadshed_points: ["
	for _, p := range []string{"http_connection_manager_decode_headers", "tcp_listener_accept"} {
		text += act("envoy.load_shed_points." + p)
	}
	m, err := compile(t, text+"]}")
	if err != nil {
		t.Fatal(err)
	}
	m.refresh(time.Now())
	got := map[string]float64{}
	m.Each(func(name string, value func() float64) { got[name] = value() })
	if !maps.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}
