package tracing

import (
	"os"
	"strings"

	tracingv3 "github.com/envoyproxy/go-control-plane/envoy/type/tracing/v3"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/redact"
	"github.com/usher-mesh/usher/internal/proxy/strict"
)

// tag is a compiled CustomTag.
type tag struct {
	name   string
	header string // "": value is all
	value  string // or the default; "": no tag
}

func compileTags(list []*tracingv3.CustomTag) (out []tag, err error) {
	named := map[string]bool{}
	for i, m := range list {
		t, err := compileTag(m)
		if err == nil && named[t.name] {
			err = strict.Errorf("tag", "%q is there already", t.name)
		}
		if err != nil {
			return nil, strict.AtIndex("custom_tags", i, err)
		}
		named[t.name] = true
		out = append(out, t)
	}
	return out, nil
}

func compileTag(m *tracingv3.CustomTag) (t tag, err error) {
	if err := strict.Only(m, "tag", "literal", "environment", "request_header"); err != nil {
		return t, err
	}
	if t.name = m.GetTag(); t.name == "" {
		return t, strict.Errorf("tag", "empty")
	}
	switch k := m.GetType().(type) {
	case *tracingv3.CustomTag_Literal_:
		if t.value = k.Literal.GetValue(); t.value == "" {
			err = strict.Errorf("literal.value", "empty")
		}
	case *tracingv3.CustomTag_Environment_:
		if t.value = os.Getenv(k.Environment.GetName()); t.value == "" {
			t.value = k.Environment.GetDefaultValue()
		}
		if k.Environment.GetName() == "" {
			err = strict.Errorf("environment.name", "empty")
		}
	case *tracingv3.CustomTag_RequestHeader:
		t.header, t.value = strings.ToLower(k.RequestHeader.GetName()), k.RequestHeader.GetDefaultValue()
		if t.header == "" || t.header[0] == ':' {
			err = strict.Errorf("request_header.name", "%q: %w", t.header, strict.ErrUnsupported)
		}
	default:
		err = strict.Errorf("type", "missing")
	}
	return t, err
}

func (t *tag) add(a *attributes, x *exchange.Exchange) {
	v := t.value
	if t.header != "" {
		if h, ok := x.Request.Header.Lookup(t.header); ok {
			v = redact.Header(x, t.header, h)
		}
	}
	if v != "" {
		a.add(t.name, v)
	}
}
