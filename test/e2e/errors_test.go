package e2e

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/usher-mesh/usher/test/harness"
)

// deadKeySetLimit is how long status may take to tell of a key set.
const deadKeySetLimit = 15 * time.Second

// fails runs usher on the mesh's home, wants a failure whose one message has all
// the words, and nothing left running.
func fails(t *testing.T, m *harness.Mesh, status int, words []string, args ...string) {
	t.Helper()
	out, err := m.TryUsher(args...)
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != status {
		t.Errorf("usher %s: %v, want exit status %d\n%s", strings.Join(args, " "), err, status, out)
	}
	for _, w := range words {
		if !strings.Contains(out, w) {
			t.Errorf("usher %s: the message lacks %q:\n%s", strings.Join(args, " "), w, out)
		}
	}
	if n := strings.Count(out, "usher: "); n != 1 {
		t.Errorf("usher %s: %d messages, want one:\n%s", strings.Join(args, " "), n, out)
	}
	if strings.Contains(out, "panic") || strings.Contains(out, "goroutine ") {
		t.Errorf("usher %s: a crash:\n%s", strings.Join(args, " "), out)
	}
	if left := processesOf(t, m.Home); len(left) > 0 {
		t.Errorf("usher %s: left running: %v", strings.Join(args, " "), left)
	}
}

// processesOf lists the command lines of processes that have the home in their
// environment or arguments.
func processesOf(t *testing.T, home string) []string {
	t.Helper()
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, d := range dirs {
		cmdline, _ := os.ReadFile(filepath.Join(d, "cmdline"))
		environ, _ := os.ReadFile(filepath.Join(d, "environ"))
		if strings.Contains(string(cmdline)+string(environ), home) && len(cmdline) > 0 {
			found = append(found, filepath.Base(d)+" "+strings.ReplaceAll(string(cmdline), "\x00", " "))
		}
	}
	return found
}

func TestErrorsOfUp(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	_, port, _ := net.SplitHostPort(taken.Addr().String())

	home := func(t *testing.T) *harness.Mesh { return &harness.Mesh{T: t, Home: harness.NewHome(t)} }
	file := func(t *testing.T, name, text string) string {
		p := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return p
	}
	const free = "--gateway-port=80=0,443=0"
	for _, detach := range []string{"--detach=true", "--detach=false"} {
		t.Run("API port taken "+detach, func(t *testing.T) {
			fails(t, home(t), 1, []string{port, "--api-port"}, "up", detach, free, "--api-port", port)
		})
		t.Run("gateway port taken "+detach, func(t *testing.T) {
			fails(t, home(t), 1, []string{port, "--gateway-port"}, "up", detach, "--gateway-port", "80="+port)
		})
	}
	t.Run("lock held", func(t *testing.T) {
		m := home(t)
		if err := os.Mkdir(m.Home, 0o700); err != nil {
			t.Fatal(err)
		}
		f, err := os.Create(filepath.Join(m.Home, "lock"))
		if err != nil {
			t.Fatal(err)
		}
		if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
			t.Fatal(err)
		}
		fails(t, m, 1, []string{filepath.Join(m.Home, "lock"), "locked by another process"}, "up", "--detach", free)
		f.Close()
		// There was never a mesh in it, so `usher down --purge` would not touch it.
		if err := os.RemoveAll(m.Home); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("too few open files", func(t *testing.T) {
		m := home(t)
		out, err := m.Run("sh", "-c", `ulimit -n 64 && USHER_HOME=$1 exec "$2" up --detach --gateway-port=80=0`, "sh", m.Home, harness.Bin(t, "usher"))
		if err == nil || !strings.Contains(out, "limit of open files is 64") || strings.Contains(out, "damaged") {
			t.Errorf("%v, want the limit named:\n%s", err, out)
		}
	})
	t.Run("damaged etcd", func(t *testing.T) {
		m := home(t)
		m.Start()
		m.Usher("down")
		db := filepath.Join(m.Home, "etcd", "member", "snap", "db")
		if err := os.WriteFile(db, []byte(strings.Repeat("damage", 10000)), 0o600); err != nil {
			t.Fatal(err)
		}
		fails(t, m, 1, []string{filepath.Join(m.Home, "etcd")}, "up", "--detach")
	})
	t.Run("usher.yaml is missing", func(t *testing.T) {
		fails(t, home(t), 1, []string{"/nowhere/usher.yaml", "no such file"}, "up", "-d", free, "-f", "/nowhere/usher.yaml")
	})
	t.Run("usher.yaml is no YAML", func(t *testing.T) {
		p := file(t, "usher.yaml", "namespace: [a\nb: c")
		fails(t, home(t), 1, []string{p, "line"}, "up", "-d", free, "-f", p)
	})
	t.Run("unknown key in usher.yaml", func(t *testing.T) {
		p := file(t, "usher.yaml", "namespace: a\nworkloads:\n- {service: s, command: [x], prot: http}\n")
		fails(t, home(t), 1, []string{p, "line 3", "prot"}, "up", "-d", free, "-f", p)
	})
	t.Run("bad port in usher.yaml", func(t *testing.T) {
		p := file(t, "usher.yaml", "workloads:\n- {service: s, command: [x], port: [http=99999]}\n")
		fails(t, home(t), 1, []string{p, "workloads[0]", "99999"}, "up", "-d", free, "-f", p)
	})
	t.Run("a command that does not exist", func(t *testing.T) {
		p := file(t, "usher.yaml", "workloads:\n- {service: s, command: [no-such-program]}\n")
		fails(t, home(t), 1, []string{"no-such-program"}, "up", "-d", free, "-f", p)
	})
	t.Run("a bad object", func(t *testing.T) {
		p := file(t, "o.yaml", "apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: a}\nspec: {mtls: {mode: SOMETIMES}}\n")
		fails(t, home(t), 1, []string{p, "PeerAuthentication", "spec.mtls.mode", "SOMETIMES"}, "up", "-d", free, "-f", p)
	})
	t.Run("unknown command", func(t *testing.T) {
		fails(t, home(t), 2, []string{"upp", "up"}, "upp")
	})
	t.Run("unknown flag", func(t *testing.T) {
		fails(t, home(t), 2, []string{"--nonsense"}, "up", "--nonsense")
	})
	t.Run("no mesh", func(t *testing.T) {
		fails(t, home(t), 1, []string{"usher up"}, "env")
	})
}

// TestHomeOfAnotherUser runs usher under an ordinary uid on a home of root's.
func TestHomeOfAnotherUser(t *testing.T) {
	harness.Need(t, "setpriv")
	harness.NeedRoot(t)
	dir, err := os.MkdirTemp("/tmp", "ue-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	// The programs stand in a folder that everybody may read.
	for _, b := range []string{"usher", "usher-proxy"} {
		data, err := os.ReadFile(harness.Bin(t, b))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, b), data, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	home := filepath.Join(dir, "home")
	for _, d := range []struct {
		path string
		perm os.FileMode
	}{{dir, 0o755}, {home, 0o755}} {
		if err := os.MkdirAll(d.path, d.perm); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(d.path, d.perm); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
		filepath.Join(dir, "usher"), "up", "--detach", "--gateway-port=80=0")
	cmd.Env = []string{"USHER_HOME=" + home, "PATH=/usr/bin:/bin", "HOME=/nonexistent"}
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 {
		t.Errorf("%v, want exit status 1", err)
	}
	for _, w := range []string{home, "belongs to user id 0", "USHER_HOME"} {
		if !strings.Contains(string(out), w) {
			t.Errorf("the message lacks %q:\n%s", w, out)
		}
	}
	if left := processesOf(t, home); len(left) > 0 {
		t.Errorf("left running: %v", left)
	}
}

// TestErrorsOfObjects has kubectl say what is wrong with an object, and status say
// what cannot be said at once.
func TestErrorsOfObjects(t *testing.T) {
	m := harness.UpWith(t)
	for _, tc := range []struct {
		name, manifest string
		words          []string
	}{
		{"unknown field", "apiVersion: security.istio.io/v1\nkind: RequestAuthentication\nmetadata: {name: a}\nspec: {jwtRulez: []}\n",
			[]string{"jwtRulez", "unknown field"}},
		{"enum", "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: a}\nspec: {action: MAYBE}\n",
			[]string{"spec.action", "MAYBE"}},
		{"jwks is no JSON", "apiVersion: security.istio.io/v1\nkind: RequestAuthentication\nmetadata: {name: a}\nspec: {jwtRules: [{issuer: i, jwks: '{no json'}]}\n",
			[]string{"jwks"}},
		{"unknown kind", "apiVersion: security.istio.io/v1\nkind: Nonsense\nmetadata: {name: a}\n",
			[]string{"Nonsense"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			out, err := m.TryKubectl(tc.manifest, "create", "-f", "-")
			if err == nil {
				t.Fatalf("was accepted: %s", out)
			}
			for _, w := range tc.words {
				if !strings.Contains(out, w) {
					t.Errorf("the message lacks %q:\n%s", w, out)
				}
			}
		})
	}
	t.Run("two of one name", func(t *testing.T) {
		one := "apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: twice}\nspec: {mtls: {mode: STRICT}}\n"
		if out, err := m.TryKubectl(one, "create", "-f", "-"); err != nil {
			t.Fatal(out)
		}
		out, err := m.TryKubectl(one, "create", "-f", "-")
		if err == nil || !strings.Contains(out, `"twice" already exists`) {
			t.Errorf("%v: %s", err, out)
		}
	})
	t.Run("jwksUri that nobody answers", func(t *testing.T) {
		l := listen(t)
		dead := l.Addr().String()
		l.Close()
		m.Kubectl("apply", "-f", write(t, "apiVersion: security.istio.io/v1\nkind: RequestAuthentication\nmetadata: {name: dead}\n"+
			"spec: {jwtRules: [{issuer: i, jwksUri: 'http://"+dead+"/jwks'}]}\n"))
		harness.Eventually(t, deadKeySetLimit, "status that names the key set", func() (bool, any) {
			out := m.Kubectl("get", "requestauthentication", "dead", "-o", "jsonpath={.status}")
			return strings.Contains(out, dead), out
		})
	})
}

func write(t *testing.T, text string) string {
	t.Helper()
	p := filepath.Join(t.TempDir(), "f.yaml")
	if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return p
}
