// Package jsondoc reads one JSON document strictly (RFC 8259, no repeated names) into
// one block of memory. It exists since encoding/json takes repeated names, names in
// another case and bad UTF-8, and since maps of boxed values cost a token that is
// verified once more than its checks do.
package jsondoc

import (
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
)

// Kind is what a value is.
type Kind uint8

// The kinds. Absent is the zero Value's: there is none.
const (
	Absent Kind = iota
	Null
	False
	True
	Number
	String
	Array
	Object
)

// Value is a JSON value, immutable, and safe for concurrent use. It is the value's
// node, then those of all that it holds in the order of the document.
type Value []node

type node struct {
	name string // of a member of an object
	text string // of a string, decoded; of a number, as it stands
	size int32  // this node and all that it holds
	kind Kind
}

// nodeSize is that of a node in memory, in bytes.
const nodeSize = 40

// Kind tells what it is.
func (v Value) Kind() Kind {
	if len(v) == 0 {
		return Absent
	}
	return v[0].kind
}

// Text gives a string; false if it is none.
func (v Value) Text() (string, bool) {
	if v.Kind() != String {
		return "", false
	}
	return v[0].text, true
}

// Number gives a number as it stands in the document; false if it is none.
func (v Value) Number() (json.Number, bool) {
	if v.Kind() != Number {
		return "", false
	}
	return json.Number(v[0].text), true
}

// Bool gives true or false; ok is false if it is neither.
func (v Value) Bool() (b, ok bool) {
	k := v.Kind()
	return k == True, k == True || k == False
}

// Scalar gives the text of a string, number or boolean.
func (v Value) Scalar() (string, bool) {
	switch v.Kind() {
	case String, Number:
		return v[0].text, true
	case True:
		return "true", true
	case False:
		return "false", true
	}
	return "", false
}

// All gives the members of an object in their order, or the elements of a list with
// "" for names; nothing of what is neither.
func (v Value) All() iter.Seq2[string, Value] {
	return func(yield func(string, Value) bool) {
		if len(v) == 0 {
			return
		}
		for rest := v[1:v[0].size]; len(rest) > 0; rest = rest[rest[0].size:] {
			if !yield(rest[0].name, rest[:rest[0].size:rest[0].size]) {
				return
			}
		}
	}
}

// Len counts the members or elements.
func (v Value) Len() (n int) {
	for range v.All() {
		n++
	}
	return n
}

// Get gives the member of that name; the zero Value if there is none, or v is no
// object.
func (v Value) Get(name string) Value {
	if v.Kind() != Object {
		return nil
	}
	for rest := v[1:v[0].size]; len(rest) > 0; rest = rest[rest[0].size:] {
		if rest[0].name == name {
			return rest[:rest[0].size:rest[0].size]
		}
	}
	return nil
}

// Bytes is about what it takes in memory. Text is counted as if each had its own.
func (v Value) Bytes() int {
	n := nodeSize * cap(v)
	for i := range v {
		n += len(v[i].name) + len(v[i].text)
	}
	return n
}

// Any gives it as encoding/json has it: map[string]any, []any, string, json.Number,
// bool, nil.
func (v Value) Any() any {
	switch v.Kind() {
	case String:
		return v[0].text
	case Number:
		return json.Number(v[0].text)
	case True, False:
		return v[0].kind == True
	case Array:
		l := []any{}
		for _, e := range v.All() {
			l = append(l, e.Any())
		}
		return l
	case Object:
		m := map[string]any{}
		for name, e := range v.All() {
			m[name] = e.Any()
		}
		return m
	}
	return nil
}

// JSON gives it as one line of JSON, members by name.
func (v Value) JSON() string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v.Any()); err != nil {
		panic(err) // no value of ours is beyond encoding/json
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// Of makes a Value of what Any gives. Members come by name.
func Of(x any) Value { return add(nil, "", x) }

func add(v Value, name string, x any) Value {
	at := len(v)
	v = append(v, node{name: name, kind: Null})
	n := &v[at]
	switch x := x.(type) {
	case nil:
	case bool:
		n.kind = False
		if x {
			n.kind = True
		}
	case string:
		n.kind, n.text = String, x
	case json.Number:
		n.kind, n.text = Number, string(x)
	case []any:
		n.kind = Array
		for _, e := range x {
			v = add(v, "", e)
		}
	case map[string]any:
		n.kind = Object
		for _, k := range slices.Sorted(maps.Keys(x)) {
			v = add(v, k, x[k])
		}
	default:
		panic(fmt.Sprintf("jsondoc: a %T is no JSON", x))
	}
	v[at].size = int32(len(v) - at)
	return v
}
