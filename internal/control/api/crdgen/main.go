// Command crdgen writes the schemas of package api. Shapes come from the protobuf
// descriptors of module istio.io/api, bounds and rules from the annotations in
// that module's .proto files (descriptors carry no comments), descriptions from
// descriptions.txt beside this file. It knows nothing of versions, printer columns
// or names: those are package api's.
//
//	go run ./crdgen -out schemas
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
)

func main() {
	out := flag.String("out", "schemas", "folder that the schemas are written to, one JSON file a kind")
	flag.Parse()
	if err := run(*out); err != nil {
		fmt.Fprintln(os.Stderr, "crdgen:", err)
		os.Exit(1)
	}
}

func run(out string) error {
	dir, err := moduleDir("istio.io/api")
	if err != nil {
		return err
	}
	schemas, err := generate(dir)
	if err != nil {
		return err
	}
	kinds := make([]string, 0, len(schemas))
	for kind := range schemas {
		kinds = append(kinds, kind)
	}
	sort.Strings(kinds)
	for _, kind := range kinds {
		if err := os.WriteFile(filepath.Join(out, kind+".json"), schemas[kind], 0o644); err != nil {
			return err
		}
	}
	return nil
}

// generate gives the file contents of every kind's schema. moduleDir is the folder
// of module istio.io/api.
func generate(moduleDir string) (map[string][]byte, error) {
	notes, err := readNotes(moduleDir)
	if err != nil {
		return nil, err
	}
	b := &builder{notes: notes, describe: descriptions(), unused: map[string]bool{}}
	for name := range b.describe {
		b.unused[name] = true
	}
	all := map[string]*apiextensionsv1.JSONSchemaProps{}
	for _, k := range istioKinds {
		if all[k.kind], err = b.kind(k); err != nil {
			return nil, fmt.Errorf("%s: %w", k.kind, err)
		}
	}
	legacyKinds(b, all)
	for name := range b.unused {
		return nil, fmt.Errorf("descriptions.txt describes %s, which no schema has", name)
	}
	files := map[string][]byte{}
	for kind, s := range all {
		text, err := json.MarshalIndent(s, "", " ")
		if err != nil {
			return nil, err
		}
		files[kind] = append(text, '\n')
	}
	return files, nil
}

func moduleDir(module string) (string, error) {
	cmd := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", module)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("where is module %s: %w", module, err)
	}
	return strings.TrimSpace(string(out)), nil
}
