// Package meshfile reads usher.yaml: the namespace, the manifests and the local
// workloads of a mesh on one machine. It reads files and checks them; it starts
// nothing and talks to nobody.
package meshfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v3"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/usher-mesh/usher/internal/workload"
)

// maxSize bounds a file, in bytes.
const maxSize = 4 << 20

// File is one usher.yaml.
type File struct {
	// Namespace is created and becomes the default of the kubeconfig's context
	// and of run, exec and stop.
	Namespace string `yaml:"namespace"`
	// Apply lists manifests; absolute paths once loaded.
	Apply     []string               `yaml:"apply"`
	Workloads []*workload.Definition `yaml:"workloads"`
}

// IsManifest tells whether the YAML is a Kubernetes manifest (its first document
// that is not empty has an apiVersion or a kind) and not an usher.yaml.
func IsManifest(data []byte) bool {
	dec := yaml.NewDecoder(bytes.NewReader(data))
	for {
		var doc map[string]yaml.Node
		if err := dec.Decode(&doc); err != nil {
			return false
		}
		if len(doc) > 0 {
			_, version := doc["apiVersion"]
			_, kind := doc["kind"]
			return version || kind
		}
	}
}

// Read gives the file's bytes, at most 4 MiB of them.
func Read(path string) ([]byte, error) {
	// A pipe would keep us waiting, before and after it is open.
	switch fi, err := os.Stat(path); {
	case err != nil:
		return nil, err
	case !fi.Mode().IsRegular():
		return nil, fmt.Errorf("%s: is no regular file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxSize+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxSize {
		return nil, fmt.Errorf("%s: larger than %d bytes", path, maxSize)
	}
	return data, nil
}

// Parse reads an usher.yaml that stood at path. Paths in it are relative to it.
// A command without a slash is looked up in binDir first, then on PATH.
func Parse(path string, data []byte, binDir, defaultNamespace string) (*File, error) {
	var f File
	dec := yaml.NewDecoder(bytes.NewReader(data))
	dec.KnownFields(true)
	if err := dec.Decode(&f); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: %s", path, tidy(err))
	}
	if err := dec.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: holds more than one document", path)
	}
	if f.Namespace != "" {
		if errs := validation.IsDNS1123Label(f.Namespace); len(errs) > 0 {
			return nil, fmt.Errorf("%s: namespace %q: %s", path, f.Namespace, errs[0])
		}
		defaultNamespace = f.Namespace
	}
	dir, err := filepath.Abs(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	for i, a := range f.Apply {
		if !filepath.IsAbs(a) {
			f.Apply[i] = filepath.Join(dir, a)
		}
	}
	seen := map[string]int{}
	for i, w := range f.Workloads {
		if w == nil {
			return nil, fmt.Errorf("%s: workloads[%d]: is empty", path, i)
		}
		if err := w.Complete(defaultNamespace); err != nil {
			return nil, fmt.Errorf("%s: workloads[%d].%w", path, i, err)
		}
		key := w.Namespace + "/" + w.Name
		if j, ok := seen[key]; ok {
			return nil, fmt.Errorf("%s: workloads[%d].name: %s is that of workloads[%d] too", path, i, key, j)
		}
		seen[key] = i
		w.Dir = dir
		w.Command[0] = lookCommand(w.Command[0], dir, binDir)
	}
	return &f, nil
}

func lookCommand(cmd, dir, binDir string) string {
	if !strings.Contains(cmd, "/") {
		beside := filepath.Join(binDir, cmd)
		if fi, err := os.Stat(beside); err == nil && fi.Mode().IsRegular() && fi.Mode()&0o111 != 0 {
			return beside
		}
		return cmd
	}
	if !filepath.IsAbs(cmd) {
		return filepath.Join(dir, cmd)
	}
	return cmd
}

// tidy leaves out the decoder's own talk: its messages name lines and fields.
func tidy(err error) string {
	var te *yaml.TypeError
	if errors.As(err, &te) {
		msgs := make([]string, len(te.Errors))
		for i, m := range te.Errors {
			m, _, _ = strings.Cut(m, " in type ")
			msgs[i] = strings.Replace(m, " not found", " is unknown", 1)
		}
		return strings.Join(msgs, "; ")
	}
	return strings.TrimPrefix(err.Error(), "yaml: ")
}
