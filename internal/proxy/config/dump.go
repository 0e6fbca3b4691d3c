package config

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/usher-mesh/usher/internal/proxy/xds"
)

// Redacted stands for what is not shown.
const Redacted = "[redacted]"

// Shown is one resource as dumps show it.
type Shown struct {
	Name    string          `json:"name"`
	Version string          `json:"version,omitempty"`
	Static  bool            `json:"static,omitempty"`
	Denied  bool            `json:"denied,omitempty"`  // it denies: see Error
	Waiting bool            `json:"waiting,omitempty"` // for what it needs
	Error   string          `json:"error,omitempty"`   // why its last version was refused
	Config  json.RawMessage `json:"config,omitempty"`
}

// Dump gives all resources of a type, by name. Keys, inline secrets and key sets
// are redacted.
func (s *Store) Dump(typeURL string) []Shown {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := map[string]*Shown{}
	put := func(n string, h held, f func(*Shown)) {
		x := &Shown{Name: n, Version: h.version, Config: show(h.body)}
		if f != nil {
			f(x)
		}
		all[n] = x
	}
	switch typeURL {
	case xds.ClusterType:
		for n, e := range s.clusters {
			put(n, e.held, func(x *Shown) { x.Static = e.static })
		}
	case xds.EndpointType:
		for n, e := range s.endpoints {
			put(n, e.held, nil)
		}
	case xds.RouteType:
		for n, e := range s.routes {
			put(n, e.held, func(x *Shown) { x.Static, x.Denied, x.Waiting = e.static, e.denied, e.pending })
		}
	case xds.ListenerType:
		for n, e := range s.listeners {
			put(n, e.held, func(x *Shown) { x.Static, x.Denied, x.Waiting = e.static, e.denied, e.pending })
		}
	case xds.SecretType:
		for n, e := range s.secrets {
			put(n, e.held, nil)
		}
	}
	for n, why := range s.rejected[typeURL] {
		if all[n] == nil {
			all[n] = &Shown{Name: n}
		}
		all[n].Error = why
	}
	out := make([]Shown, 0, len(all))
	for _, n := range slices.Sorted(maps.Keys(all)) {
		out = append(out, *all[n])
	}
	return out
}

// Digest names the configuration that came over xDS: equal for equal resources of
// equal versions.
func (s *Store) Digest() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := sha256.New()
	for _, t := range xds.Types() {
		v := map[string]string{}
		s.each(t, func(n string, e held, denied bool) { v[n] = fmt.Sprint(e.version, denied) })
		for _, n := range slices.Sorted(maps.Keys(v)) {
			fmt.Fprintf(h, "%s\x00%s\x00%s\x00", t, n, v[n])
		}
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// Rejected counts the resources whose last version is refused.
func (s *Store) Rejected() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, m := range s.rejected {
		n += len(m)
	}
	return n
}

func show(a *anypb.Any) json.RawMessage {
	if a == nil {
		return nil
	}
	m, err := a.UnmarshalNew()
	if err != nil {
		return nil
	}
	if err := redact(m.ProtoReflect()); err != nil {
		return nil // rather nothing than a secret
	}
	js, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(m)
	if err != nil {
		return nil
	}
	return js
}

// secretFields are the fields that hold keys; every DataSource of theirs that is
// inline is redacted.
var secretFields = []string{"private_key", "password", "local_jwks", "session_ticket_keys", "credential", "pkcs12"}

// redact walks into lists, maps and Anys and hides what secretFields name.
func redact(m protoreflect.Message) error {
	if a, ok := m.Interface().(*anypb.Any); ok {
		in, err := a.UnmarshalNew()
		if err != nil {
			return err
		}
		if err := redact(in.ProtoReflect()); err != nil {
			return err
		}
		b, err := proto.Marshal(in)
		a.Value = b
		return err
	}
	var failed error
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		hide := slices.Contains(secretFields, string(f.Name()))
		one := func(v protoreflect.Value) {
			switch {
			case hide:
				blank(v.Message())
			case failed == nil:
				failed = redact(v.Message())
			}
		}
		switch {
		case f.IsMap() && f.MapValue().Message() != nil:
			v.Map().Range(func(_ protoreflect.MapKey, v protoreflect.Value) bool { one(v); return true })
		case f.IsList() && f.Message() != nil:
			for i := range v.List().Len() {
				one(v.List().Get(i))
			}
		case !f.IsMap() && !f.IsList() && f.Message() != nil:
			one(v)
		case hide && f.Kind() == protoreflect.StringKind && !f.IsList() && !f.IsMap():
			m.Set(f, protoreflect.ValueOfString(Redacted))
		}
		return failed == nil
	})
	return failed
}

// blank replaces every inline text and byte string below m.
func blank(m protoreflect.Message) {
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case f.IsList() || f.IsMap():
			m.Clear(f)
		case f.Message() != nil:
			blank(v.Message())
		case f.Kind() == protoreflect.StringKind && strings.HasPrefix(string(f.Name()), "inline"):
			m.Set(f, protoreflect.ValueOfString(Redacted))
		case f.Kind() == protoreflect.BytesKind:
			m.Set(f, protoreflect.ValueOfBytes([]byte(Redacted)))
		}
		return true
	})
}

// Redact hides keys and key sets in m, which it changes.
func Redact(m proto.Message) error { return redact(m.ProtoReflect()) }
