package api

import (
	"encoding/json"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
)

// generator makes random objects that a schema mostly accepts.
type generator struct {
	*rand.Rand
	wrong int // of 100 values, how many are likely to be refused
}

func (g *generator) astray() bool { return g.IntN(100) < g.wrong }

// value is a random value for s. Deep objects get few fields.
func (g *generator) value(s *apiextensionsv1.JSONSchemaProps, depth int) any {
	if g.astray() {
		if edge := g.edge(s); edge != nil && g.IntN(3) > 0 {
			return edge
		}
		return pick(g, []any{nil, "", "*", int64(-1), int64(70000), 1.5, true, "unix://a/", []any{}, map[string]any{}, map[string]any{"unknown": "x"}})
	}
	if len(s.Enum) > 0 {
		var v any
		_ = json.Unmarshal(pick(g, s.Enum).Raw, &v)
		return v
	}
	if s.XIntOrString {
		return pick(g, []any{int64(3), "3"})
	}
	switch s.Type {
	case "object":
		return g.object(s, depth)
	case "array":
		list := []any{}
		for range g.size(s.MinItems, s.MaxItems) {
			list = append(list, g.value(s.Items.Schema, depth+1))
		}
		return list
	case "integer":
		return pick(g, []any{int64(1), int64(80), int64(443), int64(100), int64(8080), int64(g.IntN(600))})
	case "number":
		return pick(g, []any{0.5, 12.5, 100.0})
	case "boolean":
		return g.IntN(2) == 0
	case "string":
		return g.text(s)
	}
	return map[string]any{"any": "thing"}
}

// edge is a value of the right type just outside of what s allows, nil if it allows
// all.
func (g *generator) edge(s *apiextensionsv1.JSONSchemaProps) any {
	switch {
	case s.Type == "string" && s.MinLength != nil && g.IntN(2) == 0:
		return ""
	case s.Type == "string" && s.MaxLength != nil:
		return strings.Repeat("a", int(*s.MaxLength)+1)
	case s.Type == "string" && len(s.Enum) == 0:
		return pick(g, []any{"", "*", "a b", "http:/", "unix://a/", "0s", "ftp://a/b"})
	case s.Type == "integer" && s.Minimum != nil && g.IntN(2) == 0:
		return int64(*s.Minimum) - 1
	case s.Type == "integer" && s.Maximum != nil:
		return int64(*s.Maximum) + 1
	case s.Type == "integer":
		return pick(g, []any{int64(0), int64(65536), int64(1) << 33})
	}
	return nil
}

// size is a small length that respects the bounds most of the time.
func (g *generator) size(low, high *int64) int {
	if g.astray() && high != nil && *high < 600 {
		return int(*high) + 1
	}
	n := g.IntN(3)
	if low != nil && n < int(*low) && !g.astray() {
		n = int(*low)
	}
	return n
}

func (g *generator) text(s *apiextensionsv1.JSONSchemaProps) string {
	if s.Format == "date-time" {
		return "2026-01-02T03:04:05Z"
	}
	for _, r := range s.XValidations {
		if len(r.Rule) > 9 && r.Rule[:9] == "duration(" {
			return pick(g, []string{"1s", "1m30s", "1ms", "250ms", "3600s"})
		}
		if len(r.Rule) > 4 && r.Rule[:4] == "url(" {
			return pick(g, []string{"http://a/b", "https://a.b:8443/keys"})
		}
	}
	return pick(g, []string{"a", "reviews", "HTTP", "10.0.0.1", "a.example.com", "/p", "eA=="})
}

func (g *generator) object(s *apiextensionsv1.JSONSchemaProps, depth int) any {
	obj := map[string]any{}
	if s.AdditionalProperties != nil {
		for range g.size(s.MinProperties, s.MaxProperties) {
			obj[pick(g, []string{"a", "http", "8080", "version", "x*"})] = g.value(s.AdditionalProperties.Schema, depth+1)
		}
		return obj
	}
	var taken []string // fields that exclude one another: one of them, most of the time
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		p := s.Properties[name]
		chance := 60 / (1 + depth/2)
		if slices.Contains(s.Required, name) || depth == 0 && name == "spec" {
			chance = 98
		}
		if g.IntN(100) >= chance || exclusiveWith(s, name, taken) && !g.astray() {
			continue
		}
		taken = append(taken, name)
		obj[name] = g.value(&p, depth+1)
	}
	return obj
}

// exclusiveWith is whether name and one of taken are alternatives of a oneOf.
func exclusiveWith(s *apiextensionsv1.JSONSchemaProps, name string, taken []string) bool {
	for _, set := range append([]apiextensionsv1.JSONSchemaProps{*s}, s.AllOf...) {
		var names []string
		for _, o := range set.OneOf {
			names = append(names, o.Required...)
		}
		for _, t := range taken {
			if t != name && slices.Contains(names, t) && slices.Contains(names, name) {
				return true
			}
		}
	}
	return false
}

func pick[T any](g *generator, values []T) T { return values[g.IntN(len(values))] }
