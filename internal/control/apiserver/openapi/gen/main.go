// Command gen runs openapi-gen over the packages of the built-in kinds and keeps
// the definitions that those kinds need: 40 of 700.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// packages are read by openapi-gen, so that references between them resolve.
var packages = []string{
	"k8s.io/api/core/v1",
	"k8s.io/api/discovery/v1",
	"k8s.io/api/authentication/v1",
	"k8s.io/api/authorization/v1",
	"k8s.io/apimachinery/pkg/util/intstr",
	"k8s.io/apimachinery/pkg/apis/meta/v1",
	"k8s.io/apimachinery/pkg/api/resource",
	"k8s.io/apimachinery/pkg/runtime",
	"k8s.io/apimachinery/pkg/version",
}

// published are the packages whose definitions apiextensions has.
var published = packages[5:]

// roots are the kinds that the API server serves beside CRDs.
var roots = []string{
	"k8s.io/api/core/v1.Namespace", "k8s.io/api/core/v1.NamespaceList",
	"k8s.io/api/core/v1.Service", "k8s.io/api/core/v1.ServiceList",
	"k8s.io/api/core/v1.Secret", "k8s.io/api/core/v1.SecretList",
	"k8s.io/api/core/v1.ConfigMap", "k8s.io/api/core/v1.ConfigMapList",
	"k8s.io/api/core/v1.ServiceAccount", "k8s.io/api/core/v1.ServiceAccountList",
	"k8s.io/api/core/v1.Event", "k8s.io/api/core/v1.EventList",
	"k8s.io/api/discovery/v1.EndpointSlice", "k8s.io/api/discovery/v1.EndpointSliceList",
	"k8s.io/api/authentication/v1.TokenRequest", "k8s.io/api/authentication/v1.TokenReview",
	"k8s.io/api/authentication/v1.SelfSubjectReview",
	"k8s.io/api/authorization/v1.SelfSubjectAccessReview",
}

func main() {
	out := flag.String("out", "zz_generated.go", "the file to write")
	flag.Parse()
	if err := run(*out); err != nil {
		log.Fatal(err)
	}
}

func run(out string) error {
	dir, err := os.MkdirTemp("", "openapi")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	args := append([]string{"tool", "openapi-gen", "--output-dir", dir, "--output-pkg", "example.com/openapi",
		"--output-file", "all.go", "--go-header-file", os.DevNull, "-r", os.DevNull}, packages...)
	cmd := exec.Command("go", args...)
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("openapi-gen: %w", err)
	}
	src, err := os.ReadFile(filepath.Join(dir, "all.go"))
	if err != nil {
		return err
	}
	trimmed, err := trim(src)
	if err != nil {
		return err
	}
	return os.WriteFile(out, trimmed, 0o644)
}

// trim keeps the functions that roots reach by their Dependencies.
func trim(src []byte) ([]byte, error) {
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, "all.go", src, 0)
	if err != nil {
		return nil, err
	}
	text := func(n ast.Node) string {
		return string(src[fset.Position(n.Pos()).Offset:fset.Position(n.End()).Offset])
	}
	imports := map[string]string{} // name to path
	for _, i := range file.Imports {
		imports[i.Name.Name] = strings.Trim(i.Path.Value, `"`)
	}
	functions := map[string]*ast.FuncDecl{}
	byModel := map[string]string{} // model's expression to function
	var order []string
	for _, d := range file.Decls {
		f, ok := d.(*ast.FuncDecl)
		if !ok {
			continue
		}
		functions[f.Name.Name] = f
		if f.Name.Name != "GetOpenAPIDefinitions" {
			continue
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if kv, ok := n.(*ast.KeyValueExpr); ok {
				key := text(kv.Key)
				byModel[key] = kv.Value.(*ast.CallExpr).Fun.(*ast.Ident).Name
				order = append(order, key)
			}
			return true
		})
	}
	keep := map[string]bool{}
	var visit func(model string)
	visit = func(model string) {
		f := functions[byModel[model]]
		pkg, _, _ := strings.Cut(model, ".")
		if f == nil || keep[model] || slices.Contains(published, imports[pkg]) {
			return
		}
		keep[model] = true
		ast.Inspect(f, func(n ast.Node) bool {
			if kv, ok := n.(*ast.KeyValueExpr); ok {
				if id, ok := kv.Key.(*ast.Ident); ok && id.Name == "Dependencies" {
					for _, e := range kv.Value.(*ast.CompositeLit).Elts {
						visit(text(e))
					}
				}
			}
			return true
		})
	}
	for _, r := range roots {
		path, name := r[:strings.LastIndex(r, ".")], r[strings.LastIndex(r, ".")+1:]
		found := false
		for _, model := range order {
			pkg, rest, _ := strings.Cut(model, ".")
			if imports[pkg] == path && strings.HasPrefix(rest, name+"{}") {
				visit(model)
				found = true
			}
		}
		if !found {
			return nil, fmt.Errorf("%s: openapi-gen wrote no definition", r)
		}
	}
	return write(order, keep, byModel, func(model string) string { return text(functions[byModel[model]]) }, imports)
}

func write(order []string, keep map[string]bool, byModel map[string]string, body func(string) string, imports map[string]string) ([]byte, error) {
	var code bytes.Buffer
	code.WriteString("func builtin(ref common.ReferenceCallback) map[string]common.OpenAPIDefinition {\nreturn map[string]common.OpenAPIDefinition{\n")
	for _, m := range order {
		if keep[m] {
			fmt.Fprintf(&code, "%s: %s(ref),\n", m, byModel[m])
		}
	}
	code.WriteString("}\n}\n")
	for _, m := range order {
		if keep[m] {
			code.WriteString("\n" + body(m) + "\n")
		}
	}
	var head bytes.Buffer
	head.WriteString("// Code generated by gen with openapi-gen. DO NOT EDIT.\n\npackage openapi\n\nimport (\n")
	for name, path := range imports {
		if strings.Contains(code.String(), name+".") {
			fmt.Fprintf(&head, "%s %q\n", name, path)
		}
	}
	head.WriteString(")\n\n")
	return format.Source(append(head.Bytes(), code.Bytes()...))
}
