package apiserver

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"
)

// step is a command and what is to be said of its output.
type step struct {
	line  string
	fails bool
	want  []*regexp.Regexp
}

func readSteps(t *testing.T, path string) (steps []*step) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for sc := bufio.NewScanner(f); sc.Scan(); {
		l := sc.Text()
		switch {
		case l == "" || strings.HasPrefix(l, "#"):
		case strings.HasPrefix(l, "$ "), strings.HasPrefix(l, "? "):
			steps = append(steps, &step{line: l[2:], fails: l[0] == '?'})
		default:
			s := steps[len(steps)-1]
			s.want = append(s.want, regexp.MustCompile(l))
		}
	}
	return steps
}

// TestKubectl runs the real kubectl through testdata/kubectl.txt.
func TestKubectl(t *testing.T) {
	if _, err := exec.LookPath("kubectl"); err != nil {
		t.Fatal("the tests need kubectl")
	}
	s := startServer(t, testOptions(t, home(t)))
	dir := t.TempDir()
	ar, err := txtar.ParseFile(filepath.Join("testdata", "objects.txtar"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range ar.Files {
		if err := os.WriteFile(filepath.Join(dir, f.Name), f.Data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	kubeconfig, err := s.Kubeconfig("default")
	if err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(dir, "kubeconfig")
	if err := os.WriteFile(config, kubeconfig, 0o600); err != nil {
		t.Fatal(err)
	}
	env := append(os.Environ(), "KUBECONFIG="+config, "HOME="+dir)
	for _, st := range readSteps(t, filepath.Join("testdata", "kubectl.txt")) {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		cmd := exec.CommandContext(ctx, "sh", "-c", st.line)
		cmd.Dir, cmd.Env = dir, env
		begin := time.Now()
		out, err := cmd.CombinedOutput()
		cancel()
		if (err != nil) != st.fails {
			t.Errorf("%s: %v\n%s", st.line, err, out)
			continue
		}
		for _, re := range st.want {
			if !re.Match(out) {
				t.Errorf("%s: no match for %s in\n%s", st.line, re, out)
			}
		}
		if d := time.Since(begin); d > 2*time.Second {
			t.Logf("%s took %v", st.line, d)
		}
	}
}
