package e2e

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/usher-mesh/usher/test/harness"
)

const denyAll = `
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: deny-all, namespace: %NS%}
spec: {action: DENY, rules: [{}]}
`

// TestWorkloadEntriesComeBack deletes the entries of a workload and of the gateway
// that run: policy that is written afterwards must reach them.
func TestWorkloadEntriesComeBack(t *testing.T) {
	m := harness.Up(t)
	wantOpen(t, m, "")
	for _, w := range []struct{ namespace, name string }{{"tutorial", "customer-v1"}, {"istio-system", "istio-ingressgateway"}} {
		m.Kubectl("delete", "workloadentry", "-n", w.namespace, w.name)
		harness.Eventually(t, 5*time.Second, w.name+" is back", func() (bool, any) {
			out, err := m.TryKubectl("", "get", "workloadentry", "-n", w.namespace, w.name)
			return err == nil, out
		})
		policy := strings.ReplaceAll(denyAll, "%NS%", w.namespace)
		if out, err := m.TryKubectl(policy, "apply", "-f", "-"); err != nil {
			t.Fatal(out)
		}
		harness.Eventually(t, 5*time.Second, w.name+" denies", func() (bool, any) {
			a := m.MustGet("/customer", "")
			return a.Status == http.StatusForbidden, a
		})
		if out, err := m.TryKubectl(policy, "delete", "-f", "-"); err != nil {
			t.Fatal(out)
		}
		harness.Eventually(t, 5*time.Second, "open again", func() (bool, any) {
			a := m.MustGet("/customer", "")
			return a.Status == http.StatusOK, a
		})
	}
	m.Kubectl("delete", "namespace", "tutorial")
	harness.Eventually(t, 10*time.Second, "the namespace's workloads are stopped", func() (bool, any) {
		for key, w := range m.Status() {
			if w.Namespace == "tutorial" && w.State != "stopped" {
				return false, key + " " + w.State
			}
		}
		return true, nil
	})
}

// TestStaleUpFile leaves the up.json of a killed `usher up`, with the pid of another
// process in it: `usher down` must not send that one a signal.
func TestStaleUpFile(t *testing.T) {
	m := harness.UpWith(t)
	other := exec.Command("sleep", "60")
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- other.Wait() }()
	defer other.Process.Kill()
	file := filepath.Join(m.Home, "up.json")
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	pid := upPID(t, m)
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	stale := strings.Replace(string(data), strconv.Itoa(pid), strconv.Itoa(other.Process.Pid), 1)
	if err := os.WriteFile(file, []byte(stale), 0o600); err != nil {
		t.Fatal(err)
	}
	started := make(chan string, 1)
	go func() { out, _ := m.TryUsher("up", "--detach"); started <- out }()
	m.Usher("down")
	<-started
	m.Usher("down")
	select {
	case err := <-ended:
		t.Errorf("the other process was ended: %v", err)
	default:
	}
}

// TestPurge deletes what a link leads to, and nothing that is no home.
func TestPurge(t *testing.T) {
	m := harness.UpWith(t)
	m.Usher("down")
	real := m.Home + "-real"
	if err := os.Rename(m.Home, real); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(real, m.Home); err != nil {
		t.Fatal(err)
	}
	m.Usher("down", "--purge")
	for _, p := range []string{m.Home, real} {
		if _, err := os.Lstat(p); !os.IsNotExist(err) {
			t.Errorf("%s is left: %v", p, err)
		}
	}
	other := t.TempDir()
	for _, f := range []string{"lock", "precious"} {
		if err := os.WriteFile(filepath.Join(other, f), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	stranger := &harness.Mesh{T: t, Home: other}
	if out, err := stranger.TryUsher("down", "--purge"); err == nil || !strings.Contains(out, "is no usher home") {
		t.Errorf("%v: %s", err, out)
	}
	if _, err := os.Stat(filepath.Join(other, "precious")); err != nil {
		t.Error(err)
	}
}
