package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/usher-mesh/usher/test/harness"
)

// TestUpTwiceAtOnce: whoever comes second waits for the mesh that starts, and both
// may bring the same files.
func TestUpTwiceAtOnce(t *testing.T) {
	m := &harness.Mesh{T: t, Home: harness.NewHome(t)}
	args := []string{"up", "--detach", "--gateway-port=80=0,443=0", "-f", filepath.Join(harness.Root(), "examples/tutorial/usher.yaml")}
	type result struct {
		out string
		err error
	}
	results := make(chan result)
	const n = 3
	for range n {
		go func() {
			out, err := m.TryUsher(args...)
			results <- result{out, err}
		}()
	}
	for range n {
		r := <-results
		if r.err != nil {
			t.Errorf("%v\n%s", r.err, r.out)
		}
		if !strings.Contains(r.out, "kubeconfig  "+m.Home) || strings.Contains(r.out, "its ports stay") {
			t.Errorf("want the report of a mesh with these ports, got\n%s", r.out)
		}
	}
}

// TestDownWhileStarting: the mesh that was starting is gone, with all its processes.
func TestDownWhileStarting(t *testing.T) {
	m := &harness.Mesh{T: t, Home: harness.NewHome(t)}
	up := make(chan struct{})
	go func() {
		defer close(up)
		_, _ = m.TryUsher("up", "--detach", "--gateway-port=80=0,443=0") // may fail: it is stopped
	}()
	lock := filepath.Join(m.Home, "lock")
	harness.Eventually(t, 20*time.Second, "the lock", func() (bool, any) {
		_, err := os.Stat(lock)
		return err == nil, err
	})
	if out := m.Usher("down"); !strings.Contains(out, "stopped the mesh") {
		t.Errorf("usher down while it starts: %q", out)
	}
	<-up
	if left := processesOf(t, m.Home); len(left) > 0 {
		t.Errorf("left running: %v", left)
	}
}

// TestRunDetachedEnds: a command that ends before it listens is reported when it does,
// not when the patience with slow ones is over.
func TestRunDetachedEnds(t *testing.T) {
	m := harness.UpWith(t)
	began := time.Now()
	out, err := m.TryUsher("run", "--service", "short", "--detach", "--", "sh", "-c", "echo the reason; exit 7")
	log := filepath.Join(m.Home, "workloads/default/short-v1/app.log")
	if err == nil || !strings.Contains(out, "the command ended with status 7") || !strings.Contains(out, log) {
		t.Errorf("%v, want status 7 and %s:\n%s", err, log, out)
	}
	if d := time.Since(began); d > 15*time.Second {
		t.Errorf("took %v", d)
	}
	if text, err := os.ReadFile(log); !strings.Contains(string(text), "the reason") {
		t.Errorf("%s: %v %q", log, err, text)
	}
	if _, there := m.Status()["default/short-v1"]; there {
		t.Error("the workload is still there")
	}
}

// TestProxyConfigIsWhole: nothing that a proxy has is left out of what it shows, for a
// message that its program cannot read, say.
func TestProxyConfigIsWhole(t *testing.T) {
	m := harness.Up(t)
	for name, w := range m.Status() {
		var all map[string]any
		if err := json.Unmarshal([]byte(m.Usher("proxy-config", w.Name, "-n", w.Namespace, "all", "-o", "json")), &all); err != nil {
			t.Fatal(err)
		}
		clusters, _ := json.Marshal(all["clusters"])
		if n, with := strings.Count(m.Usher("proxy-config", w.Name, "-n", w.Namespace, "clusters"), "\n")-1, strings.Count(string(clusters), `"connect_timeout"`); n < 5 || with != n {
			t.Errorf("%s: %d clusters, %d shown in full", name, n, with)
		}
	}
}
