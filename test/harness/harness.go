// Package harness starts real meshes for tests: the built programs, real files,
// the real kubectl and curl. A mesh has a home of its own in a short temporary
// folder and free ports, and is stopped with everything in it when its test ends.
package harness

import (
	"bytes"
	"context"
	"debug/buildinfo"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"
)

// Mesh is one running mesh.
type Mesh struct {
	T    testing.TB
	Home string
	Env  []string // what `usher env` exports, on top of the test's own

	// GatewayURL is host:port of the gateway's port 80.
	GatewayURL string
	Kubeconfig string
}

// Root is the repository.
func Root() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Dir(filepath.Dir(filepath.Dir(file)))
}

// Bin is the path of one of the built programs, in $USHER_TEST_BIN or bin/. `make
// build` makes them, and the test says so if they are missing.
func Bin(t testing.TB, name string) string {
	t.Helper()
	dir := os.Getenv("USHER_TEST_BIN")
	if dir == "" {
		dir = filepath.Join(Root(), "bin")
	}
	p := filepath.Join(dir, name)
	if _, err := os.Stat(p); err != nil {
		t.Fatalf("%v: run `make build` first", err)
	}
	return p
}

// Raced tells whether the proxies were built with the race detector.
func Raced(t testing.TB) bool {
	t.Helper()
	info, err := buildinfo.ReadFile(Bin(t, "usher-proxy"))
	if err != nil {
		t.Fatal(err)
	}
	return slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}

// NewHome makes a home folder that is stopped and deleted with the test. Its path
// is short, since Unix sockets are in it.
func NewHome(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "ue-")
	if err != nil {
		t.Fatal(err)
	}
	home := filepath.Join(dir, "h")
	t.Cleanup(func() {
		noTokensTold(t, home)
		usher := func(args ...string) {
			if out, err := run(t, 60*time.Second, []string{"USHER_HOME=" + home}, "", Bin(t, "usher"), args...); err != nil {
				t.Errorf("usher %s: %v\n%s", strings.Join(args, " "), err, out)
			}
		}
		usher("down") // the rest of the logs is written
		noTokensKept(t, home)
		noCrashes(t, home)
		if t.Failed() {
			dumpLogs(t, home)
		}
		usher("down", "--purge")
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return home
}

// Up starts a mesh with the tutorial's services.
func Up(t testing.TB) *Mesh {
	t.Helper()
	return UpWith(t, "-f", filepath.Join(Root(), "examples/tutorial/usher.yaml"))
}

// UpWith starts a mesh with further arguments of `usher up`.
func UpWith(t testing.TB, args ...string) *Mesh {
	t.Helper()
	m := &Mesh{T: t, Home: NewHome(t)}
	m.Start(args...)
	return m
}

// Start starts the mesh on its home, again or for the first time.
func (m *Mesh) Start(args ...string) {
	m.T.Helper()
	args = append([]string{"up", "--detach"}, args...)
	if _, err := os.Stat(filepath.Join(m.Home, "ports.json")); err != nil {
		args = append(args, "--gateway-port", "80=0,443=0")
	}
	m.Usher(args...)
	m.Env = []string{"USHER_HOME=" + m.Home}
	for _, line := range strings.Split(m.Usher("env"), "\n") {
		name, value, ok := strings.Cut(strings.TrimPrefix(line, "export "), "=")
		if !ok {
			continue
		}
		value = strings.Trim(value, "'")
		m.Env = append(m.Env, name+"="+value)
		switch name {
		case "GATEWAY_URL":
			m.GatewayURL = value
		case "KUBECONFIG":
			m.Kubeconfig = value
		}
	}
	if m.GatewayURL == "" || m.Kubeconfig == "" {
		m.T.Fatalf("usher env gave no GATEWAY_URL or KUBECONFIG: %q", m.Env)
	}
}

// Usher runs usher and fails the test if it fails.
func (m *Mesh) Usher(args ...string) string {
	m.T.Helper()
	out, err := m.TryUsher(args...)
	if err != nil {
		m.T.Fatalf("usher %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// TryUsher runs usher; out is both of its outputs.
func (m *Mesh) TryUsher(args ...string) (out string, err error) {
	m.T.Helper()
	return run(m.T, 90*time.Second, append(m.Env, "USHER_HOME="+m.Home), "", Bin(m.T, "usher"), args...)
}

// Kubectl runs the real kubectl (usher's own where there is none) and fails the
// test if it fails.
func (m *Mesh) Kubectl(args ...string) string {
	m.T.Helper()
	out, err := m.TryKubectl("", args...)
	if err != nil {
		m.T.Fatalf("kubectl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// TryKubectl runs kubectl with the input.
func (m *Mesh) TryKubectl(stdin string, args ...string) (out string, err error) {
	m.T.Helper()
	if k, err := exec.LookPath("kubectl"); err == nil {
		return run(m.T, 60*time.Second, m.Env, stdin, k, args...)
	}
	return run(m.T, 60*time.Second, m.Env, stdin, Bin(m.T, "usher"), append([]string{"kubectl"}, args...)...)
}

// Apply applies a manifest and waits until everything in it is in force.
func (m *Mesh) Apply(manifest string) {
	m.T.Helper()
	if out, err := m.TryKubectl(manifest, "apply", "-f", "-"); err != nil {
		m.T.Fatalf("kubectl apply: %v\n%s", err, out)
	}
	if out, err := m.TryKubectl(manifest, "wait", "--for=condition=Programmed", "--timeout=20s", "-f", "-"); err != nil {
		m.T.Fatalf("kubectl wait: %v\n%s", err, out)
	}
}

// Run runs a program with the mesh's environment; out is both of its outputs.
func (m *Mesh) Run(name string, args ...string) (out string, err error) {
	m.T.Helper()
	return run(m.T, 60*time.Second, m.Env, "", name, args...)
}

func run(t testing.TB, limit time.Duration, env []string, stdin, name string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	if t.Context().Err() != nil { // in a Cleanup
		ctx, cancel = context.WithTimeout(context.Background(), limit)
	}
	defer cancel()
	present(strings.Join(args, " "))
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), env...)
	if stdin != "" {
		cmd.Stdin = strings.NewReader(stdin)
	}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.WaitDelay = time.Second // a child may hold the pipe
	err := cmd.Run()
	if errors.Is(err, exec.ErrWaitDelay) {
		err = nil
	}
	if ctx.Err() == context.DeadlineExceeded {
		err = fmt.Errorf("took longer than %v: %w", limit, err)
	}
	return out.String(), err
}

// dumpLogs shows the end of every log of a failed test's mesh.
func dumpLogs(t testing.TB, home string) {
	logs, _ := filepath.Glob(filepath.Join(home, "log", "*.log"))
	more, _ := filepath.Glob(filepath.Join(home, "workloads", "*", "*", "*.log"))
	for _, p := range append(logs, more...) {
		data, err := os.ReadFile(p)
		if err != nil || len(data) == 0 {
			continue
		}
		const tail = 6000
		if len(data) > tail {
			data = data[len(data)-tail:]
		}
		t.Logf("--- %s\n%s", strings.TrimPrefix(p, home), data)
	}
}
