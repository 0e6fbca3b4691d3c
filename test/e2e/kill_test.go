package e2e

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/usher-mesh/usher/test/harness"
)

// upPID is the process of `usher up`.
func upPID(t *testing.T, m *harness.Mesh) int {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(m.Home, "up.json"))
	if err != nil {
		t.Fatal(err)
	}
	var up struct{ PID int }
	if err := json.Unmarshal(data, &up); err != nil || up.PID < 2 {
		t.Fatalf("up.json: %v: %s", err, data)
	}
	return up.PID
}

// TestControlPlaneKilled kills the control plane at random moments while objects
// are written and requests run. What was acknowledged is there afterwards; the
// rules in force stay in force: nothing forbidden passes, nothing allowed fails.
func TestControlPlaneKilled(t *testing.T) {
	m := harness.Up(t)
	createAndAwait(m, "enduser-authentication-jwt.yml")
	token := mint(m)
	stop := watchVerdicts(t, m, token)
	defer stop()
	var acknowledged []string
	for i := range harness.Count(t, "kills", 5, 50) {
		acknowledged = append(acknowledged, writeUntilKilled(t, m, i)...)
		m.Start()
		there := map[string]bool{}
		for _, n := range strings.Fields(m.Kubectl("get", "configmap", "-o", "jsonpath={.items[*].metadata.name}")) {
			there[n] = true
		}
		for _, n := range acknowledged {
			if !there[n] {
				t.Fatalf("kill %d: %s was acknowledged and is gone", i, n)
			}
		}
	}
	t.Logf("%d objects acknowledged, all there", len(acknowledged))
	stop()
	wantRefused(t, m, "", 401, "Origin Jwt is missing")
	deleteAndAwait(t, m, "enduser-authentication-jwt.yml")
}

// writeUntilKilled writes objects with kubectl and kills the control plane at some
// moment; it gives the names that kubectl saw acknowledged.
func writeUntilKilled(t *testing.T, m *harness.Mesh, round int) (acknowledged []string) {
	t.Helper()
	killed := make(chan struct{})
	var mu sync.Mutex
	var wg sync.WaitGroup
	for w := range 2 {
		wg.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-killed:
					return
				default:
				}
				name := fmt.Sprintf("o-%d-%d-%d", round, w, n)
				if out, err := m.TryKubectl("", "create", "configmap", name, "--from-literal=k=v"); err == nil && strings.Contains(out, "created") {
					mu.Lock()
					acknowledged = append(acknowledged, name)
					mu.Unlock()
				}
			}
		})
	}
	moment := time.NewTimer(time.Duration(rand.Int64N(int64(1500 * time.Millisecond))))
	<-moment.C
	if err := syscall.Kill(upPID(t, m), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	close(killed)
	wg.Wait()
	return acknowledged
}

// watchVerdicts sends requests with and without a token until it is stopped, and
// fails the test if a verdict is not the policy's.
func watchVerdicts(t *testing.T, m *harness.Mesh, token string) (stop func()) {
	t.Helper()
	done := make(chan struct{})
	var wg sync.WaitGroup
	var good, bad atomic.Int64
	for range 2 {
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if a, err := m.Get("/customer", token); err != nil || a.Status != http.StatusOK {
					t.Errorf("with a good token: %d %q %v", a.Status, a.Body, err)
				}
				good.Add(1)
				if a, err := m.Get("/customer", ""); err != nil || a.Status != http.StatusUnauthorized {
					t.Errorf("without a token: %d %q %v", a.Status, a.Body, err)
				}
				bad.Add(1)
			}
		})
	}
	return func() {
		select {
		case <-done:
			return
		default:
		}
		close(done)
		wg.Wait()
		t.Logf("%d requests with and %d without a token, all judged by the policy", good.Load(), bad.Load())
	}
}

// killProxy kills the proxy of a workload of tutorial; its supervisor starts another.
func killProxy(t *testing.T, m *harness.Mesh, workload string) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(m.Home, "workloads/tutorial", workload, "state.json"))
	if err != nil {
		t.Fatal(err)
	}
	var st struct {
		ProxyPID int `json:"proxyPID"`
	}
	if err := json.Unmarshal(data, &st); err != nil || st.ProxyPID < 2 {
		t.Fatalf("state.json: %v: %s", err, data)
	}
	if err := syscall.Kill(st.ProxyPID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
}

// TestSidecarKilled kills a sidecar, with and without a control plane: it is back
// with its last configuration within a second.
func TestSidecarKilled(t *testing.T) {
	m := harness.Up(t)
	createAndAwait(m, "enduser-authentication-jwt.yml")
	token := mint(m)
	wantOpen(t, m, token)
	kill := func(t *testing.T) {
		t.Helper()
		killProxy(t, m, "customer-v1")
		killed := time.Now()
		harness.Eventually(t, 5*time.Second, "sidecar back", func() (bool, any) {
			a, err := m.Get("/customer", token)
			return err == nil && a.Status == http.StatusOK, a
		})
		if took := time.Since(killed); took > time.Second {
			t.Errorf("back after %v, want within 1 s", took)
		} else {
			t.Logf("back after %v", took)
		}
		wantRefused(t, m, "", 401, "Origin Jwt is missing")
	}
	t.Run("with the control plane", kill)
	if err := syscall.Kill(upPID(t, m), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	t.Run("without the control plane", kill)
	t.Run("twice", kill)
}
