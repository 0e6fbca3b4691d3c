package supervise_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/rbac/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"

	"github.com/usher-mesh/usher/internal/proxy/supervise/spec"
)

// inbound is the workload's inbound listener: /secret is for nobody.
func (w *world) inbound(t *testing.T) map[string]proto.Message {
	t.Helper()
	p := w.spec.Ports[0]
	at := func(hostPort string) string {
		h, port, _ := strings.Cut(hostPort, ":")
		return fmt.Sprintf(`{"socket_address": {"address": %q, "port_value": %s}}`, h, port)
	}
	c, l := new(clusterv3.Cluster), new(listenerv3.Listener)
	for m, js := range map[proto.Message]string{
		c: `{"name": "inbound", "type": "STATIC", "load_assignment": {"cluster_name": "inbound", "endpoints": [{"lb_endpoints": [{"endpoint": {"address": ` + at(p.App) + `}}]}]}}`,
		l: `{"name": "in", "address": ` + at(p.Inbound) + `, "filter_chains": [{"filters": [{"name": "hcm", "typed_config": {
			"@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager", "stat_prefix": "in",
			"route_config": {"virtual_hosts": [{"name": "v", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "inbound"}}]}]},
			"http_filters": [
			 {"name": "rbac", "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC", "rules": {"action": "DENY", "policies": {
			   "p": {"permissions": [{"url_path": {"path": {"prefix": "/secret"}}}], "principals": [{"any": true}]}}}}},
			 {"name": "router", "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}}]}}]}]}`,
	} {
		if err := protojson.Unmarshal([]byte(js), m); err != nil {
			t.Fatal(err)
		}
	}
	return map[string]proto.Message{"inbound": c, "in": l}
}

// TestRefusedListener: a workload whose inbound listener is refused does not count
// as running, and says why.
func TestRefusedListener(t *testing.T) {
	w := newWorld(t)
	w.start(t)
	bad := w.inbound(t)
	bad["in"].(*listenerv3.Listener).FilterChains[0].Filters[0].GetTypedConfig().TypeUrl = "type.googleapis.com/envoy.extensions.filters.network.echo.v3.Echo"
	w.ads.Set(t, "1", bad)
	const why = "listener in is refused: "
	w.state(t, "degraded with the reason", func(s *spec.State) bool {
		return s.State == spec.Degraded && strings.HasPrefix(s.Message, why) && s.AppPID != 0 && !s.Acked
	})
	w.ads.Set(t, "2", w.inbound(t))
	w.state(t, "running", func(s *spec.State) bool { return isRunning(s) && s.Acked && s.Message == "" })
	_ = w.cmd.Process.Signal(syscall.SIGTERM)
	w.wait(t)
}

func TestWorkload(t *testing.T) {
	w := newWorld(t)
	began := time.Now()
	w.start(t)
	// Nothing runs before the sidecar has configuration.
	w.state(t, "with a sidecar", func(s *spec.State) bool { return s.ProxyPID != 0 && s.State == spec.Starting && s.AppPID == 0 })
	w.ads.Set(t, "1", w.inbound(t))
	s := w.state(t, "running and acknowledged", func(s *spec.State) bool { return s.State == spec.Running && s.Acked && s.ConfigVersion != "" })
	t.Logf("running after %v", time.Since(began))

	if code, _, err := w.get("/secret"); code != 403 {
		t.Errorf("/secret: %d %v", code, err)
	}
	code, body, err := w.get("/")
	if code != 200 {
		t.Fatalf("%d %v", code, err)
	}
	var env []string
	if err := json.Unmarshal([]byte(body), &env); err != nil {
		t.Fatal(err)
	}
	_, port, _ := strings.Cut(w.spec.Ports[0].App, ":")
	for _, e := range []string{
		"PORT=" + port, "HOSTNAME=customer-v1-abcdefgh-12345", "NO_PROXY=localhost,127.0.0.1,::1",
		"HTTP_PROXY=http://usher:c0nfidential@127.0.0.1:9", "http_proxy=http://usher:c0nfidential@127.0.0.1:9",
		"HTTPS_PROXY=http://usher:c0nfidential@127.0.0.1:9", "https_proxy=http://usher:c0nfidential@127.0.0.1:9",
	} {
		if !slices.Contains(env, e) {
			t.Errorf("not in the environment: %s", e)
		}
	}
	for _, e := range env {
		if strings.HasSuffix(e, "127.0.0.1:1") || strings.HasPrefix(e, "USHER_NOTIFY") {
			t.Errorf("in the environment: %s", e)
		}
	}
	t.Run("credential", func(t *testing.T) { w.hidden(t, s) })
	t.Run("killed sidecar", func(t *testing.T) { w.killSidecar(t, s) })
	t.Run("killed sidecar, no control plane", func(t *testing.T) {
		w.ads.Stop()
		s := w.state(t, "without a control plane", func(s *spec.State) bool { return isRunning(s) && !s.Acked })
		w.killSidecar(t, s)
	})
	t.Run("memory", func(t *testing.T) {
		var sup, side int
		deadline := time.Now().Add(15 * time.Second)
		for tick := time.Tick(100 * time.Millisecond); time.Now().Before(deadline); <-tick {
			s := w.state(t, "running", isRunning)
			if sup, side = rss(t, s.SupervisorPID), rss(t, s.ProxyPID); sup+side <= 30<<10 {
				break
			}
		}
		t.Logf("supervisor %d KiB, sidecar %d KiB", sup, side)
		if sup+side > 30<<10 {
			t.Errorf("together %d KiB, want 30 MiB", sup+side)
		}
	})
	t.Run("second supervisor", func(t *testing.T) {
		other := *w
		other.out = new(strings.Builder)
		other.start(t)
		if code := other.wait(t); code != 125 || !strings.Contains(other.out.String(), "is supervised already") {
			t.Errorf("%d %s", code, other.out)
		}
	})
	t.Run("stop", func(t *testing.T) {
		s := w.state(t, "running", isRunning)
		_ = w.cmd.Process.Signal(syscall.SIGTERM)
		if code := w.wait(t); code != 128+15 {
			t.Errorf("status %d", code)
		}
		if !gone(s.AppPID) || !gone(s.ProxyPID) {
			t.Error("something is left behind")
		}
		s = w.state(t, "stopped", func(s *spec.State) bool { return s.State == spec.Stopped })
		if s.ExitCode == nil || *s.ExitCode != 143 {
			t.Errorf("%+v", s)
		}
		if b, _ := os.ReadFile(w.dir.AppLog()); !strings.Contains(string(b), "app says hello") {
			t.Errorf("app.log: %q", b)
		}
	})
}

// killSidecar kills the sidecar and wants it back within a second, with its rules.
func (w *world) killSidecar(t *testing.T, s *spec.State) {
	if err := syscall.Kill(s.ProxyPID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		if code, _, _ := w.get("/secret"); code != 0 && code != 403 {
			t.Fatalf("/secret: %d", code)
		}
		if code, _, _ := w.get("/"); code == 200 {
			break
		}
		if time.Since(began) > 5*time.Second {
			t.Fatal("not back")
		}
		<-tick.C
	}
	took := time.Since(began)
	t.Logf("back after %v", took)
	if took > time.Second {
		t.Errorf("back after %v, want 1 s", took)
	}
	now := w.state(t, "running", func(n *spec.State) bool { return isRunning(n) && n.ProxyPID != s.ProxyPID })
	if now.Restarts != s.Restarts+1 || now.AppPID != s.AppPID {
		t.Errorf("%+v", now)
	}
}

// hidden looks for the credential where others could see it.
func (w *world) hidden(t *testing.T, s *spec.State) {
	for _, pid := range []int{s.SupervisorPID, s.ProxyPID, s.AppPID} {
		if b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)); err != nil || strings.Contains(string(b), w.spec.Credential) {
			t.Errorf("command line of %d: %q %v", pid, b, err)
		}
	}
	err := filepath.WalkDir(string(w.dir), func(p string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		fi, err := d.Info()
		if err == nil && fi.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: %v", p, fi.Mode())
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	if fi, err := os.Stat(w.spec.AdminSocket); err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("admin socket: %v %v", fi.Mode(), err)
	}
	for _, p := range []string{"/config_dump", "/config", "/listeners", "/clusters", "/certs", "/stats", "/memory", "/logging"} {
		b := w.admin(t, p)
		if b == "" || strings.Contains(b, w.spec.Credential) {
			t.Errorf("%s: %s", p, b)
		}
	}
	if code, _, _ := get(plain, "http://"+w.spec.Admin+"/config_dump"); code != 403 {
		t.Errorf("config_dump over TCP: %d", code)
	}
	if code, _, _ := get(plain, "http://"+w.spec.Admin+"/ready"); code != 200 {
		t.Errorf("/ready: %d", code)
	}
}

func TestExitStatus(t *testing.T) {
	for _, c := range []struct {
		name    string
		command []string
		want    int
		says    string
	}{
		{"status", []string{"sh", "-c", "exit 7"}, 7, ""},
		{"success", []string{"true"}, 0, ""},
		{"signal", []string{"sh", "-c", "kill -9 $$"}, 137, ""},
		{"no such command", []string{"does-not-exist-here"}, 125, "the command cannot be run"},
		{"not executable", []string{"/etc/passwd"}, 125, "the command cannot be run"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, c.command...)
			w.spec.NoSidecar, w.spec.Env, w.spec.Ports = true, nil, nil
			w.start(t)
			if code := w.wait(t); code != c.want || !strings.Contains(w.out.String(), c.says) {
				t.Errorf("status %d, said %q", code, w.out)
			}
			s := w.state(t, "stopped", func(s *spec.State) bool { return s.State == spec.Stopped })
			if s.ExitCode == nil || *s.ExitCode != c.want {
				t.Errorf("%+v", s)
			}
		})
	}
}

func TestRestartAlways(t *testing.T) {
	w := newWorld(t)
	w.spec.NoSidecar, w.spec.Restart = true, spec.Always
	w.start(t)
	first := w.state(t, "running", isRunning)
	if err := syscall.Kill(first.AppPID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	w.state(t, "running again", func(s *spec.State) bool { return isRunning(s) && s.AppPID != first.AppPID })
}

func TestDieTogether(t *testing.T) {
	w := newWorld(t)
	w.ads.Set(t, "1", w.inbound(t))
	w.start(t)
	s := w.state(t, "running", isRunning)
	if err := w.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	w.wait(t)
	deadline := time.Now().Add(10 * time.Second)
	for tick := time.Tick(5 * time.Millisecond); !gone(s.AppPID) || !gone(s.ProxyPID); <-tick {
		if time.Now().After(deadline) {
			t.Fatal("children outlive their supervisor")
		}
	}
	// The lock is free: the next one takes over, with what is on disk.
	w.ads.Stop()
	w.start(t)
	w.state(t, "running without a control plane", func(n *spec.State) bool { return isRunning(n) && n.SupervisorPID != s.SupervisorPID })
	if code, _, _ := w.get("/secret"); code != 403 {
		t.Errorf("/secret: %d", code)
	}
}

func TestGatewayKind(t *testing.T) {
	w := newWorld(t)
	w.spec.Kind, w.spec.Command, w.spec.GatewayBind = spec.Gateway, nil, "127.0.0.1"
	w.ads.Set(t, "1", w.inbound(t))
	w.start(t)
	s := w.state(t, "running", isRunning)
	if s.AppPID != 0 {
		t.Error("a gateway has no command")
	}
	if req, _ := w.ads.Await(t, 0, "the first", func(r *request) bool { return r.GetNode() != nil }); !strings.HasPrefix(req.GetNode().GetId(), "router~") {
		t.Errorf("node %s", req.GetNode().GetId())
	}
	_ = w.cmd.Process.Signal(syscall.SIGTERM)
	if code := w.wait(t); code != 0 {
		t.Errorf("status %d", code)
	}
}

type request = discoveryv3.DeltaDiscoveryRequest

// TestInheritedFiles: the command gets the standard streams, and nothing else that
// was open where the workload was started.
func TestInheritedFiles(t *testing.T) {
	w := newWorld(t, "/bin/sh", "-c", "for f in /dev/fd/*; do [ ${f##*/} -gt 2 ] && readlink /proc/self/fd/${f##*/}; done; echo done")
	w.spec.NoSidecar = true
	w.spec.Ports = nil
	if err := w.spec.Write(w.dir.Spec()); err != nil {
		t.Fatal(err)
	}
	secret, err := os.Create(filepath.Join(t.TempDir(), "secret"))
	if err != nil {
		t.Fatal(err)
	}
	defer secret.Close()
	c := exec.Command(proxyBin, "supervise", "--dir", string(w.dir), "--detached=false")
	c.ExtraFiles = []*os.File{secret, secret}
	out, err := c.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "done") || strings.Contains(string(out), "secret") {
		t.Fatalf("%v: %s", err, out)
	}
}
