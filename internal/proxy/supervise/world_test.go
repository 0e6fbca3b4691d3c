package supervise_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/usher-mesh/usher/internal/home"
	"github.com/usher-mesh/usher/internal/proxy/proxytest"
	"github.com/usher-mesh/usher/internal/proxy/supervise/spec"
)

// appEnv makes this test's program the command of a workload.
const appEnv = "USHER_TEST_APP"

var proxyBin string

func TestMain(m *testing.M) {
	if os.Getenv(appEnv) != "" {
		app()
		return
	}
	os.Exit(build(m))
}

func build(m *testing.M) int {
	dir, err := os.MkdirTemp("", "ut")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	proxyBin = filepath.Join(dir, "usher-proxy")
	c := exec.Command("go", "build", "-ldflags", "-s -w", "-o", proxyBin, "github.com/usher-mesh/usher/cmd/usher-proxy")
	c.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := c.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build usher-proxy: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// app answers with its environment.
func app() {
	l, err := net.Listen("tcp", "127.0.0.1:"+os.Getenv("PORT"))
	if err != nil {
		panic(err)
	}
	fmt.Println("app says hello")
	_ = http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = json.NewEncoder(w).Encode(os.Environ())
	}))
}

func free(t *testing.T) (addr string, port uint16) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String(), l.Addr().(*net.TCPAddr).AddrPort().Port()
}

// world is a workload's folder and its control plane.
type world struct {
	dir  home.WorkloadDir
	spec *spec.Spec
	ads  *proxytest.ADS
	cmd  *exec.Cmd
	out  *strings.Builder
}

func newWorld(t *testing.T, command ...string) *world {
	dir := home.WorkloadDir(t.TempDir())
	ca := proxytest.NewCA(t)
	ca.ID = "spiffe://cluster.local/ns/tutorial/sa/default"
	w := &world{dir: dir, ads: proxytest.NewADS(ca, proxytest.ControlPlaneID), out: new(strings.Builder)}
	appAddr, _ := free(t)
	in, port := free(t)
	admin, _ := free(t)
	sock, err := os.MkdirTemp("/tmp", "us")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(sock) })
	w.spec = &spec.Spec{
		Name: "customer-v1", Namespace: "tutorial", Service: "customer", Version: "v1", ServiceAccount: "default",
		Kind: spec.Sidecar, Command: command, Address: "127.0.0.1", Admin: admin, Outbound: "127.0.0.1:9",
		Credential: "c0nfidential", AdminSocket: filepath.Join(sock, "a.sock"), Hostname: "customer-v1-abcdefgh-12345",
		Ports: []spec.Port{{Name: "http", Protocol: "http", Port: port, Inbound: in, App: appAddr}},
		XDS:   w.ads.Start(t), CA: ca.Serve(t), Env: []string{appEnv + "=1"},
	}
	if len(command) == 0 {
		w.spec.Command = []string{os.Args[0]}
	}
	for p, b := range map[string][]byte{dir.Root(): ca.RootPEM(), dir.Token(): []byte("join-token")} {
		if err := os.WriteFile(p, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

// start starts the supervisor in a session of its own.
func (w *world) start(t *testing.T) {
	t.Helper()
	if err := w.spec.Write(w.dir.Spec()); err != nil {
		t.Fatal(err)
	}
	w.cmd = exec.Command(proxyBin, "supervise", "--dir", string(w.dir))
	w.cmd.Stdout, w.cmd.Stderr = w.out, w.out
	w.cmd.Env = append(os.Environ(), "http_proxy=http://127.0.0.1:1", "HTTPS_PROXY=http://127.0.0.1:1")
	w.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := w.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if w.cmd.ProcessState == nil {
			_ = w.cmd.Process.Signal(syscall.SIGTERM)
			_ = w.cmd.Wait()
		}
		if t.Failed() {
			log, _ := os.ReadFile(w.dir.ProxyLog())
			t.Logf("supervisor:\n%s\nproxy:\n%s", w.out, log)
		}
	})
}

// state waits until the state is as wanted.
func (w *world) state(t *testing.T, what string, ok func(*spec.State) bool) *spec.State {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for time.Now().Before(deadline) {
		if s, err := spec.ReadState(w.dir.State()); err == nil && ok(s) {
			return s
		}
		<-tick.C
	}
	s, err := spec.ReadState(w.dir.State())
	t.Fatalf("never %s; last %+v, %v", what, s, err)
	return nil
}

func isRunning(s *spec.State) bool { return s.State == spec.Running }

// wait gives the supervisor's exit status.
func (w *world) wait(t *testing.T) int {
	t.Helper()
	done := make(chan struct{})
	go func() { _ = w.cmd.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		_ = w.cmd.Process.Kill()
		t.Fatal("the supervisor does not end")
	}
	return w.cmd.ProcessState.ExitCode()
}

var plain = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 5 * time.Second}

// get asks the workload through its sidecar.
func (w *world) get(path string) (status int, body string, err error) {
	return get(plain, "http://"+w.spec.Ports[0].Inbound+path)
}

func get(c *http.Client, url string) (int, string, error) {
	r, err := c.Get(url)
	if err != nil {
		return 0, "", err
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	return r.StatusCode, string(b), err
}

// admin asks the sidecar's socket.
func (w *world) admin(t *testing.T, path string) string {
	t.Helper()
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", w.spec.AdminSocket)
	}}}
	_, b, err := get(c, "http://admin"+path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// rss gives a process's resident memory in KiB.
func rss(t *testing.T, pid int) int {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), "VmRSS:")
	n, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func gone(pid int) bool { return syscall.Kill(pid, 0) != nil }
