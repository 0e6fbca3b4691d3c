// Package customtag gives what a configuration adds to spans and entries of logs by
// Envoy's CustomTag: literals, and values of the request and the environment. It knows
// neither spans nor logs. Secrets in values are [redacted].
package customtag

import (
	"os"
	"strings"

	tracingv3 "github.com/envoyproxy/go-control-plane/envoy/type/tracing/v3"

	"github.com/usher-mesh/usher/internal/jsondoc"
	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/format"
	"github.com/usher-mesh/usher/internal/proxy/redact"
	"github.com/usher-mesh/usher/internal/proxy/strict"
)

// Tag is a compiled CustomTag.
type Tag struct {
	Name string
	of   func(*exchange.Exchange) (string, bool) // nil: the default always
	def  string                                  // without a value; "": no tag
}

// Compile compiles a list, whose names must differ.
func Compile(list []*tracingv3.CustomTag) (out []Tag, err error) {
	named := map[string]bool{}
	for i, m := range list {
		t, err := compile(m)
		if err == nil && named[t.Name] {
			err = strict.Errorf("tag", "%q is there already", t.Name)
		}
		if err != nil {
			return nil, strict.AtIndex("custom_tags", i, err)
		}
		named[t.Name] = true
		out = append(out, t)
	}
	return out, nil
}

func compile(m *tracingv3.CustomTag) (t Tag, err error) {
	if err := strict.Only(m, "tag", "literal", "environment", "request_header", "metadata", "value"); err != nil {
		return t, err
	}
	if t.Name = m.GetTag(); t.Name == "" {
		return t, strict.Errorf("tag", "empty")
	}
	switch k := m.GetType().(type) {
	case *tracingv3.CustomTag_Literal_:
		if t.def = k.Literal.GetValue(); t.def == "" {
			err = strict.Errorf("literal.value", "empty")
		}
	case *tracingv3.CustomTag_Environment_:
		if t.def = os.Getenv(k.Environment.GetName()); t.def == "" {
			t.def = k.Environment.GetDefaultValue()
		}
		if k.Environment.GetName() == "" {
			err = strict.Errorf("environment.name", "empty")
		}
	case *tracingv3.CustomTag_RequestHeader:
		name := strings.ToLower(k.RequestHeader.GetName())
		if name == "" || name[0] == ':' {
			return t, strict.Errorf("request_header.name", "%q: %w", name, strict.ErrUnsupported)
		}
		t.def, t.of = k.RequestHeader.GetDefaultValue(), func(x *exchange.Exchange) (string, bool) {
			v, ok := x.Request.Header.Lookup(name)
			return redact.Header(x, name, v), ok
		}
	case *tracingv3.CustomTag_Metadata_:
		t.def = k.Metadata.GetDefaultValue()
		t.of, err = metadata(k.Metadata)
		err = strict.At("metadata", err)
	case *tracingv3.CustomTag_Value:
		t.of, err = value(k.Value)
		err = strict.At("value", err)
	default:
		err = strict.Errorf("type", "missing")
	}
	return t, err
}

// metadata is a value that a filter set for the request, or that its cluster has.
func metadata(m *tracingv3.CustomTag_Metadata) (func(*exchange.Exchange) (string, bool), error) {
	of, path := m.GetMetadataKey().GetKey(), m.GetMetadataKey().GetPath()
	if of == "" || len(path) == 0 {
		return nil, strict.Errorf("metadata_key", "no key, or no path")
	}
	first := path[0].GetKey()
	var from func(x *exchange.Exchange) jsondoc.Value
	switch {
	case m.GetKind().GetRequest() != nil:
		from = func(x *exchange.Exchange) jsondoc.Value { return x.Metadata[of][first] }
	case m.GetKind().GetCluster() != nil:
		from = func(x *exchange.Exchange) jsondoc.Value { return x.ClusterMetadata[of].Get(first) }
	default:
		return nil, strict.Errorf("kind", "neither request nor cluster: %w", strict.ErrUnsupported)
	}
	return func(x *exchange.Exchange) (string, bool) {
		v := from(x)
		for _, s := range path[1:] {
			v = v.Get(s.GetKey())
		}
		if v.Kind() == jsondoc.Absent {
			return "", false
		}
		if s, ok := v.Text(); ok {
			return redact.Tokens(s), true
		}
		return redact.Tokens(v.JSON()), true
	}, nil
}

// value is what a format makes of the request.
func value(text string) (func(*exchange.Exchange) (string, bool), error) {
	f, err := format.Text(text, true)
	if err != nil {
		return nil, err
	}
	return func(x *exchange.Exchange) (string, bool) { return string(f.Append(nil, &format.Subject{X: x})), true }, nil
}

// Of gives the tag's value at a request, "" for no tag.
func (t *Tag) Of(x *exchange.Exchange) string {
	if t.of != nil {
		if v, ok := t.of(x); ok {
			return v
		}
	}
	return t.def
}
