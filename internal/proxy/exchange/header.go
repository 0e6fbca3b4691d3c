package exchange

// Field is one header or trailer field. Name is in lower case. Both strings may
// point into a connection's read buffer: they hold until the exchange ends, and
// whoever keeps one longer clones it (strings.Clone).
type Field struct{ Name, Value string }

// Header is an ordered list of fields; repeated names keep their order.
// A list beats a map here: messages carry a dozen fields, and the list is
// reused by the next exchange of the connection without garbage.
type Header struct{ fields []Field }

// Reset empties the list and keeps its memory.
func (h *Header) Reset() { clear(h.fields); h.fields = h.fields[:0] }

// Len counts the fields.
func (h *Header) Len() int { return len(h.fields) }

// Fields gives the list itself; it is valid until the next change.
func (h *Header) Fields() []Field { return h.fields }

// Get gives the first value of name (lower case), "" if there is none.
func (h *Header) Get(name string) string {
	v, _ := h.Lookup(name)
	return v
}

// Lookup gives the first value of name (lower case) and whether it is there.
func (h *Header) Lookup(name string) (string, bool) {
	for i := range h.fields {
		if h.fields[i].Name == name {
			return h.fields[i].Value, true
		}
	}
	return "", false
}

// Count tells how many fields have the name.
func (h *Header) Count(name string) int {
	n := 0
	for i := range h.fields {
		if h.fields[i].Name == name {
			n++
		}
	}
	return n
}

// Add appends a field. Name must be in lower case.
func (h *Header) Add(name, value string) { h.fields = append(h.fields, Field{name, value}) }

// Set replaces all fields of the name by one, at the place of the first.
func (h *Header) Set(name, value string) {
	for i := range h.fields {
		if h.fields[i].Name == name {
			h.fields[i].Value = value
			rest := h.fields[i+1:]
			kept := rest[:0]
			for _, f := range rest {
				if f.Name != name {
					kept = append(kept, f)
				}
			}
			clear(rest[len(kept):])
			h.fields = h.fields[:i+1+len(kept)]
			return
		}
	}
	h.Add(name, value)
}

// Del removes all fields of the name.
func (h *Header) Del(name string) {
	h.DelFunc(func(f Field) bool { return f.Name == name })
}

// DelFunc removes the fields for which drop says so.
func (h *Header) DelFunc(drop func(Field) bool) {
	kept := h.fields[:0]
	for _, f := range h.fields {
		if !drop(f) {
			kept = append(kept, f)
		}
	}
	clear(h.fields[len(kept):])
	h.fields = kept
}
