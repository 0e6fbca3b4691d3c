package format

import (
	"errors"
	"strings"

	"github.com/usher-mesh/usher/internal/jsondoc"
	"github.com/usher-mesh/usher/internal/proxy/exchange"
)

// dynamicMetadata is %DYNAMIC_METADATA(NAMESPACE:KEY:...)%: a string as it is,
// anything else as JSON. It shows what a filter set there and the format asks for,
// such as a token's claims.
func dynamicMetadata(arg string) (operator, error) {
	namespace, path := metadataPath(arg)
	return func(b []byte, s *Subject) ([]byte, kind) {
		m := s.X.Metadata[namespace]
		if len(path) == 0 {
			return appendAll(b, m)
		}
		return appendDoc(b, within(m[path[0]], path[1:]))
	}, nil
}

// clusterMetadata is %CLUSTER_METADATA(NAMESPACE:KEY:...)%.
func clusterMetadata(arg string) (operator, error) {
	namespace, path := metadataPath(arg)
	return func(b []byte, s *Subject) ([]byte, kind) {
		return appendDoc(b, within(s.X.ClusterMetadata[namespace], path))
	}, nil
}

func metadataPath(arg string) (namespace string, path []string) {
	namespace, rest, _ := strings.Cut(arg, ":")
	if rest != "" {
		path = strings.Split(rest, ":")
	}
	return namespace, path
}

func within(v jsondoc.Value, path []string) jsondoc.Value {
	for _, k := range path {
		v = v.Get(k)
	}
	return v
}

// filterState is %FILTER_STATE(NAME:PLAIN)%. Without PLAIN it is an object in Envoy's
// own form, and with FIELD a field of one: there are strings alone, which are none.
func filterState(arg string) (operator, error) {
	p := strings.SplitN(arg, ":", 3)
	name, form := p[0], "TYPED"
	if len(p) > 1 {
		form = p[1]
	}
	switch {
	case name == "", form != "PLAIN" && form != "TYPED" && form != "FIELD", (form == "FIELD") != (len(p) == 3):
		return nil, errors.New("not NAME:PLAIN, NAME:TYPED or NAME:FIELD:FIELD_NAME")
	}
	if name == exchange.MessagesState {
		return messages(form), nil
	}
	return func(b []byte, s *Subject) ([]byte, kind) {
		v, ok := s.X.FilterState[name]
		if !ok || form == "FIELD" {
			return b, missing
		}
		if form == "TYPED" {
			from := len(b) + 1
			return append(quote(append(append(b, '"'), v...), from), '"'), bare
		}
		return append(b, v...), text
	}, nil
}

// appendAll appends what a filter set as one object.
func appendAll(b []byte, m map[string]jsondoc.Value) ([]byte, kind) {
	if len(m) == 0 {
		return b, missing
	}
	o := make(map[string]any, len(m))
	for k, v := range m {
		o[k] = v.Any()
	}
	return appendDoc(b, jsondoc.Of(o))
}

// appendDoc appends a string bare, anything else as JSON.
func appendDoc(b []byte, v jsondoc.Value) ([]byte, kind) {
	if v.Kind() == jsondoc.Absent {
		return b, missing
	}
	if s, ok := v.Text(); ok {
		return append(b, s...), text
	}
	return append(b, v.JSON()...), bare
}
