package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// notes are the annotations of a module's .proto files: from the full name of a
// message or field to the lines of its comment that begin with `+`.
type notes map[string][]string

var (
	packageLine = regexp.MustCompile(`^package ([\w.]+);`)
	blockLine   = regexp.MustCompile(`^(message|oneof|enum|extend|service) ([\w.]+) \{`)
	fieldLine   = regexp.MustCompile(`^(?:repeated |optional )?(?:map<[^>]*>|[\w.]+) (\w+) = \d+`)
)

// sources are the folders of istio.io/api that hold the kinds we serve.
var sources = []string{"networking/v1alpha3", "security/v1beta1", "type/v1beta1", "meta/v1alpha1", "analysis/v1alpha1"}

func readNotes(moduleDir string) (notes, error) {
	n := notes{}
	for _, src := range sources {
		err := filepath.WalkDir(filepath.Join(moduleDir, src), func(path string, _ fs.DirEntry, err error) error {
			if err != nil || filepath.Ext(path) != ".proto" {
				return err
			}
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			if err := n.scan(string(text)); err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return n, nil
}

// scan reads one file in the layout that clang-format gives: a statement begins a
// line, a block's brace ends it.
func (n notes) scan(text string) error {
	var pkg string
	var scope []string // "" for a block whose name is not part of its fields' names
	var pending []string
	for _, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if comment, ok := strings.CutPrefix(line, "//"); ok {
			if c := strings.TrimSpace(comment); strings.HasPrefix(c, "+") {
				pending = append(pending, c)
			}
			continue
		}
		if m := packageLine.FindStringSubmatch(line); m != nil {
			pkg = m[1]
		}
		if m := blockLine.FindStringSubmatch(line); m != nil {
			name := m[2]
			if m[1] != "message" {
				name = ""
			}
			if !strings.HasSuffix(line, "}") {
				scope = append(scope, name)
			}
			if name != "" { // Istio's generator knows no rules of a oneof or enum
				n.add(fullName(pkg, scope, ""), pending)
			}
			pending = nil
			continue
		}
		if m := fieldLine.FindStringSubmatch(line); m != nil {
			n.add(fullName(pkg, scope, m[1]), pending)
			pending = nil
		}
		if line == "}" {
			if len(scope) == 0 {
				return fmt.Errorf("a brace too many")
			}
			scope = scope[:len(scope)-1]
			pending = nil
		}
	}
	if len(scope) != 0 {
		return fmt.Errorf("%s has no end", scope[len(scope)-1])
	}
	return nil
}

func (n notes) add(name string, lines []string) {
	if len(lines) > 0 {
		n[name] = append(n[name], lines...)
	}
}

func fullName(pkg string, scope []string, field string) string {
	parts := []string{pkg}
	for _, s := range append(scope[:len(scope):len(scope)], field) {
		if s != "" {
			parts = append(parts, s)
		}
	}
	return strings.Join(parts, ".")
}
