package format

//lint:file-ignore SA1019 Envoy still reads the fields that it has deprecated, and control planes send them.

import (
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	metadatav3 "github.com/envoyproxy/go-control-plane/envoy/extensions/formatter/metadata/v3"
	withoutv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/formatter/req_without_query/v3"
	"google.golang.org/protobuf/proto"

	"github.com/usher-mesh/usher/internal/proxy/strict"
	"github.com/usher-mesh/usher/internal/proxy/tls"
)

// Compile compiles Envoy's SubstitutionFormatString. Its content_type is the
// caller's to read: it matters to bodies alone.
func Compile(m *corev3.SubstitutionFormatString) (*Format, error) {
	if err := strict.Only(m, "text_format", "text_format_source", "json_format", "omit_empty_values", "content_type", "formatters", "json_format_options"); err != nil {
		return nil, err
	}
	if err := Formatters(m.GetFormatters()); err != nil {
		return nil, err
	}
	// Members are sorted always, so that sort_properties changes nothing.
	if err := strict.Only(m.GetJsonFormatOptions(), "sort_properties"); err != nil {
		return nil, strict.At("json_format_options", err)
	}
	omit := m.GetOmitEmptyValues()
	switch f := m.GetFormat().(type) {
	case *corev3.SubstitutionFormatString_JsonFormat:
		c, err := JSON(f.JsonFormat, omit)
		return c, strict.At("json_format", err)
	case *corev3.SubstitutionFormatString_TextFormatSource:
		text, err := tls.Data(f.TextFormatSource)
		if err != nil {
			return nil, strict.At("text_format_source", err)
		}
		c, err := Text(string(text), omit)
		return c, strict.At("text_format_source", err)
	case *corev3.SubstitutionFormatString_TextFormat:
		c, err := Text(f.TextFormat, omit)
		return c, strict.At("text_format", err)
	}
	return nil, strict.Errorf("format", "missing")
}

// Formatters refuses such as bring commands that are not known.
func Formatters(list []*corev3.TypedExtensionConfig) error {
	for i, f := range list { // what they bring is there without
		var m proto.Message = new(withoutv3.ReqWithoutQuery)
		if f.GetTypedConfig().MessageIs((*metadatav3.Metadata)(nil)) {
			m = new(metadatav3.Metadata)
		}
		if err := strict.Unpack(f.GetTypedConfig(), m); err != nil {
			return strict.AtIndex("formatters", i, strict.At("typed_config", err))
		}
	}
	return nil
}
