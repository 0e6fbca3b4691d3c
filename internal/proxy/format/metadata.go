package format

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/protobuf/types/known/structpb"

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

// metadata is %METADATA(TYPE:NAMESPACE:KEY:...)%.
func metadata(arg string) (operator, error) {
	kind, arg, _ := strings.Cut(arg, ":")
	switch kind {
	case "DYNAMIC":
		return dynamicMetadata(arg)
	case "CLUSTER":
		return clusterMetadata(arg)
	}
	get := metadatas[kind]
	if get == nil {
		return nil, errors.New("no such kind of metadata")
	}
	return of(get)(arg)
}

// metadatas give what configurations say of the parts of a request's way; nil: nothing.
var metadatas = map[string]func(*Subject) exchange.Metadata{
	"ROUTE": func(s *Subject) exchange.Metadata {
		if r, ok := s.X.Route.(interface{ Metadata() *corev3.Metadata }); ok {
			return r.Metadata()
		}
		return nil
	},
	"VIRTUAL_HOST": func(s *Subject) exchange.Metadata {
		if s.X.VirtualHost == nil {
			return nil
		}
		return s.X.VirtualHost.Metadata()
	},
	"UPSTREAM_HOST":         endpointMetadata,
	"LISTENER":              ofPlace(func(p *exchange.Place) exchange.Metadata { return p.Metadata }),
	"LISTENER_FILTER_CHAIN": ofPlace(func(p *exchange.Place) exchange.Metadata { return p.ChainMetadata }),
}

func endpointMetadata(s *Subject) exchange.Metadata {
	if s.X.Endpoint == nil {
		return nil
	}
	return s.X.Endpoint.Metadata()
}

func ofPlace(get func(*exchange.Place) exchange.Metadata) func(*Subject) exchange.Metadata {
	return func(s *Subject) exchange.Metadata {
		if s.X.Conn == nil || s.X.Conn.Place == nil {
			return nil
		}
		return get(s.X.Conn.Place)
	}
}

// of makes operators of metadata that is as the configuration has it.
func of(get func(*Subject) exchange.Metadata) func(string) (operator, error) {
	return func(arg string) (operator, error) {
		namespace, path := metadataPath(arg)
		return func(b []byte, s *Subject) ([]byte, kind) {
			m := get(s)
			if m == nil {
				return b, missing
			}
			fields, ok := m.GetFilterMetadata()[namespace]
			if !ok {
				return b, missing
			}
			v := structpb.NewStructValue(fields)
			for _, k := range path {
				v = v.GetStructValue().GetFields()[k]
			}
			switch k := v.GetKind().(type) {
			case nil, *structpb.Value_NullValue:
				return b, missing
			case *structpb.Value_StringValue:
				return append(b, k.StringValue...), text
			}
			var doc bytes.Buffer
			e := json.NewEncoder(&doc)
			e.SetEscapeHTML(false)
			if e.Encode(v.AsInterface()) != nil {
				return b, missing
			}
			return append(b, bytes.TrimSuffix(doc.Bytes(), []byte("\n"))...), bare
		}, nil
	}
}

func metadataPath(arg string) (namespace string, path []string) {
	namespace, rest, more := strings.Cut(arg, ":")
	if more {
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
	if k := v.Kind(); k == jsondoc.Absent || k == jsondoc.Null {
		return b, missing
	}
	if s, ok := v.Text(); ok {
		return append(b, s...), text
	}
	return append(b, v.JSON()...), bare
}
