// Package filterstate is the filter that leaves texts made of a request for later
// filters, configured by Envoy's set_filter_state message: jwt_authn's
// filter_state_rules pick a requirement by one; and the address that clusters of type
// ORIGINAL_DST send a request to. It knows nobody who reads them.
package filterstate

import (
	"cmp"

	statev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/common/set_filter_state/v3"
	filterv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/set_filter_state/v3"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/filter"
	"github.com/usher-mesh/usher/internal/proxy/format"
	"github.com/usher-mesh/usher/internal/proxy/strict"
)

// TypeURL is that of the configuration.
const TypeURL = "type.googleapis.com/envoy.extensions.filters.http.set_filter_state.v3.Config"

// text is the kind of all objects but the destination (exchange.DestinationState).
const text = "envoy.string"

// maxValue bounds a text, in bytes.
const maxValue = 4 << 10

// Factory makes the filters.
func Factory() filter.Factory { return filter.Factory{TypeURL: TypeURL, New: compile} }

// Filter is one compiled configuration.
type Filter struct {
	values     []value
	clearRoute bool
}

var _ filter.Filter = (*Filter)(nil)

type value struct {
	name      string
	text      *format.Format
	address   bool // it is the destination
	skipEmpty bool
}

func compile(c filter.Config) (filter.Filter, error) {
	var m filterv3.Config
	if err := strict.Unpack(c.Typed, &m); err != nil {
		return nil, err
	}
	if err := strict.Only(&m, "on_request_headers", "clear_route_cache"); err != nil {
		return nil, err
	}
	f := &Filter{clearRoute: m.GetClearRouteCache()}
	for i, v := range m.GetOnRequestHeaders() {
		c, err := compileValue(v)
		if err != nil {
			return nil, strict.AtIndex("on_request_headers", i, err)
		}
		f.values = append(f.values, c)
	}
	return f, nil
}

func compileValue(m *statev3.FilterStateValue) (v value, err error) {
	if err := strict.Only(m, "object_key", "factory_key", "format_string", "skip_if_empty"); err != nil {
		return v, err
	}
	v = value{name: m.GetObjectKey(), skipEmpty: m.GetSkipIfEmpty()}
	kind := cmp.Or(m.GetFactoryKey(), v.name) // without a factory Envoy takes the name for one
	v.address = v.name == exchange.DestinationState
	switch {
	case v.address && kind != v.name:
		return v, strict.Errorf("factory_key", "%q makes no %s", kind, v.name)
	case !v.address && kind != text:
		return v, strict.Errorf("factory_key", "%q: %w (want %q)", m.GetFactoryKey(), strict.ErrUnsupported, text)
	case v.name == "":
		return v, strict.Errorf("object_key", "empty")
	}
	v.text, err = format.Compile(m.GetFormatString())
	return v, strict.At("format_string", err)
}

// Decode sets the texts.
func (f *Filter) Decode(x *exchange.Exchange) bool {
	for i := range f.values {
		v := &f.values[i]
		s := string(v.text.Append(nil, &format.Subject{X: x}))
		if v.skipEmpty && s == "" {
			continue
		}
		if len(s) > maxValue {
			s = s[:maxValue]
		}
		if v.address {
			to, ok := exchange.ParseDestination(s)
			if !ok { // then Envoy leaves what there was, too
				continue
			}
			x.Destination, s = to, to.String()
		}
		x.SetFilterState(v.name, s)
	}
	if f.clearRoute {
		x.ClearRoute()
	}
	return true
}
