package accesslog

import (
	"strings"

	"github.com/usher-mesh/usher/internal/jsondoc"
)

// dynamicMetadata is %DYNAMIC_METADATA(NAMESPACE:KEY:...)%: a string as it is,
// anything else as JSON. It shows what a filter set there and the format asks for,
// such as a token's claims.
func dynamicMetadata(arg string) operator {
	namespace, rest, _ := strings.Cut(arg, ":")
	var path []string
	if rest != "" {
		path = strings.Split(rest, ":")
	}
	return func(e *Entry) value {
		m := e.X.Metadata[namespace]
		if len(path) == 0 {
			return all(m)
		}
		v := m[path[0]]
		for _, k := range path[1:] {
			v = v.Get(k)
		}
		return shown(v)
	}
}

// filterState is %FILTER_STATE(NAME:PLAIN)%. Without PLAIN it would be an object in
// Envoy's own form, of which there is none.
func filterState(arg string) operator {
	name, form, _ := strings.Cut(arg, ":")
	return func(e *Entry) value {
		v, ok := e.X.FilterState[name]
		if !ok || form != "PLAIN" {
			return missing()
		}
		return value{text: v}
	}
}

// all shows what a filter set as one object.
func all(m map[string]jsondoc.Value) value {
	if len(m) == 0 {
		return missing()
	}
	o := make(map[string]any, len(m))
	for k, v := range m {
		o[k] = v.Any()
	}
	return shown(jsondoc.Of(o))
}

// shown gives a string bare, anything else as JSON.
func shown(v jsondoc.Value) value {
	if v.Kind() == jsondoc.Absent {
		return missing()
	}
	if s, ok := v.Text(); ok {
		return value{text: s}
	}
	return value{text: v.JSON(), json: true}
}
