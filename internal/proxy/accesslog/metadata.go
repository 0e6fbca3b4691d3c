package accesslog

import (
	"bytes"
	"encoding/json"
	"strings"
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
		if m == nil {
			return missing()
		}
		return shown(m, path)
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

// shown follows a path into a JSON value.
func shown(v any, path []string) value {
	for _, k := range path {
		m, _ := v.(map[string]any)
		var ok bool
		if v, ok = m[k]; !ok {
			return missing()
		}
	}
	if s, ok := v.(string); ok {
		return value{text: s}
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if enc.Encode(v) != nil {
		return missing()
	}
	return value{text: strings.TrimSuffix(b.String(), "\n"), json: true}
}
