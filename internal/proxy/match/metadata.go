package match

import (
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"

	"github.com/usher-mesh/usher/internal/jsondoc"
	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/strict"
)

// Metadata is a compiled MetadataMatcher over dynamic metadata.
type Metadata struct {
	filter string
	path   []string
	value  Value
	invert bool
}

// CompileMetadata compiles a MetadataMatcher.
func CompileMetadata(m *matcherv3.MetadataMatcher) (*Metadata, error) {
	if err := strict.Only(m, "filter", "path", "value", "invert"); err != nil {
		return nil, err
	}
	c := &Metadata{filter: m.GetFilter(), invert: m.GetInvert()}
	if c.filter == "" {
		return nil, strict.Errorf("filter", "empty")
	}
	for i, s := range m.GetPath() {
		if s.GetKey() == "" {
			return nil, strict.AtIndex("path", i, strict.Errorf("key", "empty"))
		}
		c.path = append(c.path, s.GetKey())
	}
	if len(c.path) == 0 {
		return nil, strict.Errorf("path", "empty")
	}
	if m.GetValue() == nil {
		return nil, strict.Errorf("value", "missing")
	}
	var err error
	c.value, err = CompileValue(m.GetValue())
	return c, strict.At("value", err)
}

// Match tells whether the request's dynamic metadata match.
func (m *Metadata) Match(x *exchange.Exchange) bool { return m.value(m.of(x)) != m.invert }

// Present tells whether there is something to match.
func (m *Metadata) Present(x *exchange.Exchange) bool { return m.of(x).Kind() != jsondoc.Absent }

func (m *Metadata) of(x *exchange.Exchange) jsondoc.Value {
	v := x.Metadata[m.filter][m.path[0]]
	for _, key := range m.path[1:] {
		v = v.Get(key)
	}
	return v
}
