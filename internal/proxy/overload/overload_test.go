package overload

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	overloadv3 "github.com/envoyproxy/go-control-plane/envoy/config/overload/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/resource_monitors/cpu_utilization/v3"

	"github.com/usher-mesh/usher/internal/proxy/proxytest"
)

func compile(t *testing.T, text string) (*Manager, error) {
	t.Helper()
	c := new(overloadv3.OverloadManager)
	proxytest.Decode(t, text, c)
	return Compile(c, slog.New(slog.DiscardHandler))
}

const ext = "type.googleapis.com/envoy.extensions.resource_monitors."

func file(name string) string {
	return `{name: f, typed_config: {"@type": ` + ext + `injected_resource.v3.InjectedResourceConfig, filename: ` + name + `}}`
}

// TestDegrees holds what pressures ask for: nothing below a threshold, a share on the
// way of a scaled trigger, and never less than before because a resource cannot be read.
func TestDegrees(t *testing.T) {
	name := filepath.Join(t.TempDir(), "pressure")
	m, err := compile(t, `{resource_monitors: [`+file(name)+`], actions: [
		{name: `+stopRequests+`, triggers: [{name: f, threshold: {value: 0.9}}]},
		{name: `+noKeepAlive+`, triggers: [{name: f, scaled: {scaling_threshold: 0.5, saturation_threshold: 0.9}}]},
		{name: `+stopConnections+`, triggers: [{name: f, scaled: {scaling_threshold: 0.5, saturation_threshold: 0.9}}]}],
		loadshed_points: [{name: envoy.load_shed_points.http_connection_manager_decode_headers, triggers: [{name: f, threshold: {value: 0.95}}]}]}`)
	if err != nil {
		t.Fatal(err)
	}
	share := func(f *Fraction) float64 {
		n := 0
		for range 10000 {
			if f.Hit() {
				n++
			}
		}
		return float64(n) / 10000
	}
	for _, tt := range []struct {
		text            string
		requests, keeps float64
		stopped         bool
	}{
		{"0", 0, 0, false}, {"0.5", 0, 0, false}, {"0.7\n", 0, 0.5, false}, {"0.9", 1, 1, true}, {"1", 1, 1, true},
		{"nonsense", 1, 1, true}, {"NaN", 1, 1, true}, {"7", 1, 1, true}, {"-1", 1, 1, true}, {strings.Repeat("9", 100), 1, 1, true},
		{"0.89", 0, 0.975, false},
	} {
		if err := os.WriteFile(name, []byte(tt.text), 0o600); err != nil {
			t.Fatal(err)
		}
		m.refresh(time.Now())
		if r, k := share(&m.state.Requests), share(&m.state.KeepAlive); r != tt.requests || k < tt.keeps-0.05 || k > tt.keeps+0.05 {
			t.Errorf("%s: %v of requests, %v of answers", tt.text, r, k)
		}
		if got := m.state.Stopped() != nil; got != tt.stopped {
			t.Errorf("%s: stopped %v", tt.text, got)
		}
	}
}

// TestAgain holds that who waits for connections to be accepted again is woken.
func TestAgain(t *testing.T) {
	var s State
	s.accept(false)
	again := s.Stopped()
	s.accept(false)
	s.accept(true)
	<-again
	if s.Stopped() != nil {
		t.Error("still stopped")
	}
}

// TestMaxConnections holds that connections are bounded over all listeners.
func TestMaxConnections(t *testing.T) {
	m, err := compile(t, `{resource_monitors: [{name: c, typed_config: {"@type": `+ext+`downstream_connections.v3.DownstreamConnectionsConfig, max_active_downstream_connections: 2}}]}`)
	if err != nil {
		t.Fatal(err)
	}
	s := m.State()
	for i, want := range []bool{true, true, false} {
		if s.Enter() != want {
			t.Errorf("connection %d: want %v", i, want)
		}
	}
	if s.Open() != 2 || s.Refused() != 1 {
		t.Error(s.Open(), s.Refused())
	}
	if s.Leave(); !s.Enter() {
		t.Error("a place that is free is not given")
	}
	s.Bound(9)
	if s.Leave(); !s.Enter() || s.Enter() {
		t.Error("a wider bound took the place of a narrower one")
	}
	if s.Bound(0); s.Enter() {
		t.Error("a bound of none lets one in")
	}
}

// TestRefused names what is not taken, with its place.
func TestRefused(t *testing.T) {
	heap := `{name: h, typed_config: {"@type": ` + ext + `fixed_heap.v3.FixedHeapConfig, max_heap_size_bytes: 100}}`
	for text, want := range map[string]string{
		`{resource_monitors: [` + heap + `, ` + heap + `]}`:                                                                                                            `resource_monitors[1].name: "h": empty, or named twice`,
		`{resource_monitors: [{name: h, typed_config: {"@type": ` + ext + `fixed_heap.v3.FixedHeapConfig}}]}`:                                                          "resource_monitors[0].typed_config.max_heap_size_bytes: must be more than 0",
		`{resource_monitors: [{name: h, typed_config: {"@type": ` + ext + `cpu_utilization.v3.CpuUtilizationConfig}}]}`:                                                "resource_monitors[0].typed_config: type.googleapis.com/envoy.extensions.resource_monitors.cpu_utilization.v3.CpuUtilizationConfig: not supported",
		`{actions: [{name: envoy.overload_actions.reduce_timeouts}]}`:                                                                                                  `actions[0].name: "envoy.overload_actions.reduce_timeouts": not supported`,
		`{actions: [{name: ` + stopRequests + `}]}`:                                                                                                                    "actions[0].triggers: empty",
		`{actions: [{name: ` + stopRequests + `, triggers: [{name: x, threshold: {value: 1}}]}]}`:                                                                      `actions[0].triggers[0].name: "x": no resource that triggers, or named twice`,
		`{resource_monitors: [` + heap + `], actions: [{name: ` + stopRequests + `, triggers: [{name: h, threshold: {value: 2}}]}]}`:                                   "actions[0].triggers[0].threshold.value: not from 0 to 1",
		`{resource_monitors: [` + heap + `], actions: [{name: ` + stopRequests + `, triggers: [{name: h, scaled: {scaling_threshold: 1, saturation_threshold: 1}}]}]}`: "actions[0].triggers[0].scaled: scaling_threshold must be less than saturation_threshold, both from 0 to 1",
		`{loadshed_points: [{name: envoy.load_shed_points.http2_server_go_away_on_dispatch}]}`:                                                                         `loadshed_points[0].name: "envoy.load_shed_points.http2_server_go_away_on_dispatch": twice, or not supported`,
		`{buffer_factory_config: {minimum_account_to_track_power_of_two: 20}}`:                                                                                         "buffer_factory_config: not supported",
		`{refresh_interval: 0.0001s}`: "refresh_interval: less than 1 ms",
	} {
		if _, err := compile(t, text); err == nil || err.Error() != want {
			t.Errorf("%s:\ngot  %v\nwant %s", text, err, want)
		}
	}
}

// TestCgroup holds what is read of both versions, in a group and in a container.
func TestCgroup(t *testing.T) {
	for name, tt := range map[string]struct {
		self  string
		files map[string]string
		most  uint64
		want  float64
	}{
		"version 2":              {"0::/a/b\n", map[string]string{"a/b/memory.current": "50\n", "a/b/memory.max": "100\n", "memory.current": "1", "memory.max": "1"}, 0, 0.5},
		"version 2, unlimited":   {"0::/a\n", map[string]string{"a/memory.current": "50", "a/memory.max": "max\n"}, 0, 0},
		"version 2, a container": {"0::/../x\n", map[string]string{"memory.current": "90", "memory.max": "100"}, 0, 0.9},
		"less is allowed":        {"0::/\n", map[string]string{"memory.current": "50", "memory.max": "200"}, 100, 0.5},
		"version 1":              {"5:cpu:/\n4:memory:/m\n", map[string]string{"memory/m/memory.usage_in_bytes": "25", "memory/m/memory.limit_in_bytes": "100"}, 0, 0.25},
		"version 1, unlimited":   {"4:memory:/\n", map[string]string{"memory/memory.usage_in_bytes": "25", "memory/memory.limit_in_bytes": "9223372036854771712"}, 0, 0},
	} {
		dir := t.TempDir()
		self := filepath.Join(dir, "self")
		os.WriteFile(self, []byte(tt.self), 0o600)
		for f, text := range tt.files {
			p := filepath.Join(dir, "fs", f)
			os.MkdirAll(filepath.Dir(p), 0o700)
			if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		g, err := findCgroup(filepath.Join(dir, "fs"), self)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got, err := g.pressure(tt.most); err != nil || got != tt.want {
			t.Errorf("%s: %v %v, want %v", name, got, err, tt.want)
		}
	}
	if _, err := findCgroup(t.TempDir(), filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("a control group from nowhere")
	}
}

// TestHeap holds that what is allocated counts, and what is given back does not.
func TestHeap(t *testing.T) {
	before, _ := heap()
	b := make([]byte, 64<<20)
	for i := 0; i < len(b); i += 4096 {
		b[i] = 1
	}
	if held, _ := heap(); held < before+48<<20 {
		t.Errorf("%d bytes before, %d after 64 MiB", before, held)
	}
	p, err := heapOf(before)()
	if err != nil || p < 1 {
		t.Error(p, err)
	}
	_ = b[0]
	b = nil
	s := shrink{every: time.Second, keep: 1 << 20}
	s.look(false, time.Now())
	if !s.last.IsZero() {
		t.Error("given back without need")
	}
	s.last = time.Now()
	s.look(true, time.Now())
	s.look(true, time.Now().Add(2*time.Second))
	if held, free := heap(); held > before+32<<20 {
		t.Errorf("%d bytes held, %d free, %d before", held, free, before)
	}
}

func BenchmarkHit(b *testing.B) {
	var s State
	for b.Loop() {
		if s.Requests.Hit() {
			b.Fatal()
		}
	}
}
