package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/usher-mesh/usher/internal/home"
	"github.com/usher-mesh/usher/internal/proxy/supervise/spec"
)

// namespace is the chapter's, chapter its usher.yaml, seen from the repository.
const (
	namespace = "tutorial"
	chapter   = "examples/tutorial/usher.yaml"
)

// mesh is one mesh of this machine in a home of its own.
type mesh struct {
	home home.Dir
	dir  string // the home is in it
	bin  string // folder of the programs
	http *http.Client
}

func newMesh(bin string) (*mesh, error) {
	for _, program := range []string{"usher", "usher-proxy", "tutorial"} {
		if _, err := findUsher(filepath.Join(bin, program)); err != nil {
			return nil, err
		}
	}
	bin, err := filepath.Abs(bin)
	if err != nil {
		return nil, err
	}
	// The path is short, since Unix sockets are in it.
	dir, err := os.MkdirTemp("/tmp", "ub-")
	return &mesh{home: home.Dir(filepath.Join(dir, "h")), dir: dir, bin: bin, http: &http.Client{Timeout: 10 * time.Second}}, err
}

// close stops everything and deletes the home.
func (m *mesh) close(ctx context.Context) error {
	m.http.CloseIdleConnections()
	_, err := m.usher(context.WithoutCancel(ctx), "down", "--purge")
	return errors.Join(err, os.RemoveAll(m.dir))
}

// up starts the mesh; it returns when traffic can flow.
func (m *mesh) up(ctx context.Context, args ...string) error {
	args = append([]string{"up", "--detach"}, args...)
	if _, err := os.Stat(m.home.Ports()); err != nil {
		args = append(args, "--gateway-port", "80=0,443=0")
	}
	_, err := m.usher(ctx, args...)
	return err
}

// usher runs the command line on this home; its error has what it said.
func (m *mesh) usher(ctx context.Context, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	cmd := m.command(ctx, args...)
	out, err := cmd.CombinedOutput()
	if errors.Is(err, exec.ErrWaitDelay) {
		err = nil
	}
	if err != nil {
		return "", fmt.Errorf("usher %s: %w: %s", args[0], err, lastLine(out))
	}
	return string(out), nil
}

func (m *mesh) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(m.bin, "usher"), args...)
	cmd.Env = append(os.Environ(), "USHER_HOME="+string(m.home))
	cmd.WaitDelay = time.Second // what it leaves running may hold the pipe
	return cmd
}

// running is the part of up.json that is needed here.
type running struct {
	PID         int
	GatewayBind string
	Gateway     map[uint16]uint16
}

func (m *mesh) running() (r running, err error) {
	text, err := os.ReadFile(m.home.Up())
	if err != nil {
		return r, err
	}
	return r, json.Unmarshal(text, &r)
}

// gateway is the URL of the chapter's entrance.
func (m *mesh) gateway() (string, error) {
	r, err := m.running()
	return fmt.Sprintf("http://%s:%d/customer", r.GatewayBind, r.Gateway[80]), err
}

// status is that of a GET.
func (m *mesh) status(ctx context.Context, url string) (int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, err
	}
	resp, err := m.http.Do(req)
	if err != nil {
		return 0, err
	}
	return resp.StatusCode, resp.Body.Close()
}

// awaitStatus asks again and again, without a pause, until the status is there.
func (m *mesh) awaitStatus(ctx context.Context, url string, want int) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for {
		got, err := m.status(ctx, url)
		if err == nil && got == want {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("GET %s: no status %d in time; last: %d, %v", url, want, got, err)
		}
	}
}

// api gives a client with the admin's rights, and the API server's URL.
func (m *mesh) api() (*http.Client, string, error) {
	cfg, err := clientcmd.BuildConfigFromFlags("", m.home.Kubeconfig())
	if err != nil {
		return nil, "", err
	}
	cfg.Timeout = 10 * time.Second
	c, err := rest.HTTPClientFor(cfg)
	return c, strings.TrimSuffix(cfg.Host, "/"), err
}

// workload gives the members that make one workload heavier than its command: the
// supervisor and the sidecar.
func (m *mesh) workload(name string) (supervisor, sidecar member, err error) {
	st, err := spec.ReadState(m.home.Workload(namespace, name).State())
	if err != nil {
		return supervisor, sidecar, err
	}
	if supervisor, err = readMember(fmt.Sprint(st.SupervisorPID)); err != nil {
		return supervisor, sidecar, err
	}
	sidecar, err = readMember(fmt.Sprint(st.ProxyPID))
	return supervisor, sidecar, err
}
