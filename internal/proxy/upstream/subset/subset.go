// Package subset holds what endpoints of a cluster are narrowed by: names with values, of
// an endpoint's metadata and of what a route asks for ("envoy.lb"). It knows no cluster and
// no route.
package subset

import (
	"encoding/json"
	"slices"
	"strings"

	"google.golang.org/protobuf/types/known/structpb"
)

// Metadata is where in filter_metadata it stands.
const Metadata = "envoy.lb"

// Criteria are names with values, all of which an endpoint must have. Nil asks for nothing.
type Criteria struct {
	list []criterion // in the order of names
	// Names stands for the names, Key for names and values.
	Names, Key string
}

type criterion struct{ name, value string }

// New makes criteria of a metadata's values, nil if there are none.
func New(m *structpb.Struct) *Criteria {
	var list []criterion
	for name, v := range m.GetFields() {
		list = append(list, criterion{name, Text(v.AsInterface())})
	}
	return of(list)
}

// Text gives the same text for equal values.
func Text(v any) string {
	b, err := json.Marshal(plain(v)) // members of objects in the order of their names
	if err != nil {                  // no JSON: NaN
		return "null"
	}
	return string(b)
}

// plain gives numbers the form that they have in metadata, whatever text they came as.
func plain(v any) any {
	switch x := v.(type) {
	case json.Number:
		f, err := x.Float64()
		if err != nil { // larger than any of metadata
			return x.String()
		}
		return f
	case []any:
		for i := range x {
			x[i] = plain(x[i])
		}
	case map[string]any:
		for k := range x {
			x[k] = plain(x[k])
		}
	}
	return v
}

func of(list []criterion) *Criteria {
	if len(list) == 0 {
		return nil
	}
	slices.SortFunc(list, func(a, b criterion) int { return strings.Compare(a.name, b.name) })
	names := make([]string, len(list))
	var key strings.Builder
	for i, c := range list {
		names[i] = c.name
		key.WriteString(c.name + "\x00" + c.value + "\x00")
	}
	return &Criteria{list: list, Names: Names(names), Key: key.String()}
}

// Names stands for a set of names, whatever their order.
func Names(names []string) string {
	names = slices.Clone(names)
	slices.Sort(names)
	return strings.Join(slices.Compact(names), "\x00")
}

// With gives the criteria with others, which win. Text is that of Text.
func (c *Criteria) With(others map[string]string) *Criteria {
	if len(others) == 0 {
		return c
	}
	var list []criterion
	if c != nil {
		for _, x := range c.list {
			if _, ok := others[x.name]; !ok {
				list = append(list, x)
			}
		}
	}
	for name, text := range others {
		list = append(list, criterion{name, text})
	}
	return of(list)
}

// Merge is With for metadata.
func (c *Criteria) Merge(m *structpb.Struct) *Criteria {
	others := make(map[string]string, len(m.GetFields()))
	for name, v := range m.GetFields() {
		others[name] = Text(v.AsInterface())
	}
	return c.With(others)
}

// Only gives the criteria of these names.
func (c *Criteria) Only(names []string) *Criteria {
	var list []criterion
	for _, x := range c.list {
		if slices.Contains(names, x.name) {
			list = append(list, x)
		}
	}
	return of(list)
}

// Keys gives the keys (Criteria.Key) of what an endpoint with the metadata meets of the
// names: none if it lacks one; several if a value is a list and lists stand for any of
// their values. Beyond most there are no more.
func Keys(m *structpb.Struct, names []string, lists bool, most int) []string {
	names = slices.Clone(names)
	slices.Sort(names)
	keys := []string{""}
	for _, name := range slices.Compact(names) {
		v := m.GetFields()[name]
		if v == nil {
			return nil
		}
		values := []*structpb.Value{v}
		if l := v.GetListValue(); l != nil && lists {
			values = l.GetValues()
		}
		var next []string
		for _, k := range keys {
			for _, v := range values {
				if len(next) <= most {
					next = append(next, k+name+"\x00"+Text(v.AsInterface())+"\x00")
				}
			}
		}
		keys = next
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}
