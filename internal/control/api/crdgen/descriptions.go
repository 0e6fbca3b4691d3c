package main

import (
	_ "embed"
	"strings"
)

//go:embed descriptions.txt
var descriptionsText string

// descriptions reads lines `full.name: text`; lines that begin with # are comments,
// lines `@prefix p` put p before the names that follow.
func descriptions() map[string]string {
	out := map[string]string{}
	var prefix string
	for _, line := range strings.Split(descriptionsText, "\n") {
		if p, ok := strings.CutPrefix(line, "@prefix "); ok {
			prefix = strings.TrimSpace(p)
			continue
		}
		name, text, ok := strings.Cut(line, ": ")
		if !ok || strings.HasPrefix(line, "#") {
			continue
		}
		out[prefix+name] = strings.TrimSpace(text)
	}
	return out
}
