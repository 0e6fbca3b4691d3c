// Package arch holds the rules of the tree: who may import whom, and that every
// package says what it owns.
package arch

import (
	"encoding/json"
	"errors"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const module = "github.com/usher-mesh/usher"

type pkg struct {
	ImportPath, Dir string
	Standard        bool
	Imports, Deps   []string
	GoFiles         []string
	DepOnly         bool
}

func list(t *testing.T, args ...string) []pkg {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list", "-json=ImportPath,Dir,Standard,Imports,Deps,GoFiles,DepOnly"}, args...)...)
	cmd.Dir = filepath.Join("..", "..")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var all []pkg
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

// forbidden says what a package, with all below it, may not depend on, and why.
var forbidden = []struct {
	pkg    string
	deps   []string
	reason string
}{
	{"cmd/usher-proxy", []string{"k8s.io/", "sigs.k8s.io/structured-merge", module + "/internal/control", module + "/internal/cli"},
		"a sidecar is small, and is the same without Kubernetes"},
	{"internal/proxy", []string{"k8s.io/", module + "/internal/control", module + "/internal/cli"},
		"the data plane is configured by xDS alone"},
	{"internal/mesh", []string{"k8s.io/", "istio.io/", "github.com/envoyproxy/"},
		"the model is plain Go between two translations"},
	{"internal/jose", []string{"k8s.io/", "istio.io/", "github.com/envoyproxy/", "google.golang.org/", "net/http", module + "/internal/proxy", module + "/internal/mesh"},
		"tokens are verified without HTTP and without a mesh"},
	{"internal/jwks", []string{"k8s.io/", "istio.io/", "github.com/envoyproxy/", module + "/internal/proxy", module + "/internal/control"},
		"proxies and control plane share it"},
	{"internal/identity", []string{"k8s.io/", module + "/internal/proxy", module + "/internal/control"},
		"proxies and control plane share it"},
}

func TestForbiddenDependencies(t *testing.T) {
	for _, r := range forbidden {
		seen := false
		for _, p := range list(t, "./"+r.pkg+"/...") {
			seen = true
			for _, d := range p.Deps {
				for _, f := range r.deps {
					if strings.HasPrefix(d, f) {
						t.Errorf("%s depends on %s: %s", p.ImportPath, d, r.reason)
					}
				}
			}
		}
		if !seen {
			t.Errorf("there is no package %s: the rule protects nothing", r.pkg)
		}
	}
}

// What is linked of a program costs memory, and a template engine has the linker keep the
// methods of all types. Grpc brings one unless it is built as the Makefile says.
func TestProxyLinksNoTemplates(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	_, tags, _ := strings.Cut(string(text), "\nusher-proxy_tags := ")
	tags, _, _ = strings.Cut(tags, "\n")
	for _, p := range list(t, "-deps", "-tags", tags, "./cmd/usher-proxy") {
		switch p.ImportPath {
		case "text/template", "html/template", "github.com/grpc-ecosystem/grpc-gateway/v2/runtime":
			t.Errorf("cmd/usher-proxy depends on %s", p.ImportPath)
		}
	}
}

// joseMayUse are the modules outside the standard library that internal/jose uses.
var joseMayUse = []string{"filippo.io/bigmod", "filippo.io/edwards25519", "github.com/go-jose/go-jose/v4", "golang.org/x/", module + "/internal/"}

func TestJoseUsesTheStandardLibrary(t *testing.T) {
	for _, p := range list(t, "-deps", "./internal/jose") {
		if p.Standard {
			continue
		}
		ok := false
		for _, m := range joseMayUse {
			ok = ok || strings.HasPrefix(p.ImportPath, m)
		}
		if !ok {
			t.Errorf("internal/jose depends on %s", p.ImportPath)
		}
	}
}

func TestPackageComments(t *testing.T) {
	for _, p := range list(t, "./...") {
		if len(p.GoFiles) == 0 {
			continue
		}
		documented := false
		for _, f := range p.GoFiles {
			tree, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, f), nil, parser.PackageClauseOnly|parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			documented = documented || tree.Doc != nil
		}
		if !documented {
			t.Errorf("%s: no package comment", p.ImportPath)
		}
	}
}

func TestNoEmptyNames(t *testing.T) {
	for _, p := range list(t, "./...") {
		switch filepath.Base(p.ImportPath) {
		case "util", "utils", "common", "types", "misc", "helpers":
			t.Errorf("%s: the name says nothing of what it owns", p.ImportPath)
		}
	}
}
