package admin

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"

	adminv3 "github.com/envoyproxy/go-control-plane/envoy/admin/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/anypb"
)

// configDump answers with Envoy's ConfigDump: all configurations, or the elements of the
// list that resource names; less what mask and name_regex leave out.
func (s *server) configDump(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	var name *regexp.Regexp
	if e := q.Get("name_regex"); e != "" {
		var err error
		if name, err = regex("^(?:" + e + ")$"); err != nil {
			fail(w, http.StatusBadRequest, fmt.Sprintf("INVALID_ARGUMENT: Error while parsing name_regex from %s: %v", e, err))
			return
		}
	}
	all, err := s.o.Dump(q.Has("include_eds"))
	if err != nil {
		fail(w, http.StatusInternalServerError, err.Error())
		return
	}
	for _, m := range all {
		keepNamed(m.ProtoReflect(), name)
	}
	status, problem := http.StatusOK, ""
	if resource := q.Get("resource"); resource != "" {
		all, status, problem = list(all, resource, q.Get("mask"))
	} else {
		all, status, problem = masked(all, q.Get("mask"))
	}
	if problem != "" {
		fail(w, status, problem)
		return
	}
	d := new(adminv3.ConfigDump)
	for _, m := range all {
		a, err := anypb.New(m)
		if err != nil {
			fail(w, http.StatusInternalServerError, err.Error())
			return
		}
		d.Configs = append(d.Configs, a)
	}
	s.reply(w, d, false)
}

// list gives the elements of the list of that name, or what the problem is.
func list(all []proto.Message, name, mask string) (out []proto.Message, status int, problem string) {
	for _, m := range all {
		m := m.ProtoReflect()
		f := m.Descriptor().Fields().ByName(protoreflect.Name(name))
		if f == nil {
			continue
		}
		if !f.IsList() || f.Message() == nil {
			return nil, http.StatusBadRequest, fmt.Sprintf("%s is not a repeated field. Use ?mask=%s to get only this field", name, name)
		}
		for i := range m.Get(f).List().Len() {
			e := m.Get(f).List().Get(i).Message()
			if mask != "" && !trim(e, paths(mask)) {
				return nil, http.StatusBadRequest, fmt.Sprintf("FieldMask paths: %q\n could not be successfully used.", mask)
			}
			out = append(out, e.Interface())
		}
		return out, http.StatusOK, ""
	}
	return nil, http.StatusNotFound, name + " not found in config dump"
}

// masked gives the messages that have the fields, with these alone.
func masked(all []proto.Message, mask string) (out []proto.Message, status int, problem string) {
	if mask == "" {
		return all, http.StatusOK, ""
	}
	for _, m := range all {
		if trim(m.ProtoReflect(), paths(mask)) {
			out = append(out, m)
		}
	}
	if len(out) == 0 {
		return nil, http.StatusBadRequest, fmt.Sprintf("FieldMask %s could not be successfully applied to any configs.", mask)
	}
	return out, http.StatusOK, ""
}

// paths reads a FieldMask.
func paths(mask string) (out [][]string) {
	for p := range strings.SplitSeq(mask, ",") {
		out = append(out, strings.Split(p, "."))
	}
	return out
}

// trim leaves the fields that paths name; false if one names none. They lead through
// single messages and Anys.
func trim(m protoreflect.Message, paths [][]string) bool {
	if a, ok := m.Interface().(*anypb.Any); ok {
		in, err := a.UnmarshalNew()
		if err != nil || !trim(in.ProtoReflect(), paths) {
			return false
		}
		a.Value, err = proto.Marshal(in)
		return err == nil
	}
	below := map[protoreflect.FieldDescriptor][][]string{}
	for _, p := range paths {
		f := m.Descriptor().Fields().ByName(protoreflect.Name(p[0]))
		switch {
		case f == nil, len(p) > 1 && (f.IsList() || f.IsMap() || f.Message() == nil):
			return false
		case len(p) == 1:
			below[f] = nil
		default:
			if rest, seen := below[f]; !seen || rest != nil {
				below[f] = append(rest, p[1:])
			}
		}
	}
	good := true
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		rest, named := below[f]
		if !named {
			m.Clear(f)
		} else if rest != nil && !trim(v.Message(), rest) {
			good = false
		}
		return true
	})
	return good
}

// keepNamed drops the resources whose names do not match; nil: none.
func keepNamed(m protoreflect.Message, name *regexp.Regexp) {
	if _, boot := m.Interface().(*adminv3.BootstrapConfigDump); boot || name == nil {
		return
	}
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		if !f.IsList() || f.Message() == nil {
			return true
		}
		kept := m.NewField(f)
		for i := range v.List().Len() {
			if e := v.List().Get(i); name.MatchString(nameOf(e.Message())) {
				kept.List().Append(e)
			}
		}
		if kept.List().Len() == 0 {
			m.Clear(f)
		} else {
			m.Set(f, kept)
		}
		return true
	})
}

// nameOf gives the name of a resource, which it has itself or in an Any.
func nameOf(m protoreflect.Message) (name string) {
	for _, n := range []protoreflect.Name{"name", "cluster_name"} {
		if f := m.Descriptor().Fields().ByName(n); f != nil && f.Kind() == protoreflect.StringKind && m.Has(f) {
			return m.Get(f).String()
		}
	}
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		if f.IsList() || f.IsMap() || f.Message() == nil {
			return true
		}
		if a, ok := v.Message().Interface().(*anypb.Any); ok {
			if in, err := a.UnmarshalNew(); err == nil {
				name = nameOf(in.ProtoReflect())
			}
		}
		return name == ""
	})
	return name
}
