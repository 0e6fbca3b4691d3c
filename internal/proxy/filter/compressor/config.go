package compressor

//lint:file-ignore SA1019 Envoy still reads the fields that it has deprecated, and control planes send them.

import (
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	compressorv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/compressor/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/usher-mesh/usher/internal/proxy/match"
	"github.com/usher-mesh/usher/internal/proxy/strict"
)

// config is a compiled Compressor.
type config struct {
	*library
	first             bool // it is preferred
	response, request direction
	disableOnETag     bool
	weakenETag        bool
	removeAccept      bool
	codes             map[int]bool // statuses that are not compressed
	scoped            bool         // counters of responses have a name of their own
}

// direction is what is compressed of requests or responses.
type direction struct {
	enabled bool
	least   int64        // bytes
	types   match.String // of the Content-Type without its parameters; nil: any
}

// usual are the content types that are compressed by default.
var usual = []string{
	"text/html", "text/plain", "text/css", "text/xml", "image/svg+xml", "application/xhtml+xml", "application/xml", "application/json", "application/x-json",
	"application/javascript", "application/x-javascript", "text/javascript", "text/x-javascript", "text/ecmascript", "text/js", "text/jscript", "text/x-js",
	"application/ecmascript",
}

// compile compiles a Compressor. There is no runtime: of a flag the default counts.
func compile(m *compressorv3.Compressor) (*config, error) {
	if err := strict.Only(m, "content_length", "content_type", "disable_on_etag_header", "remove_accept_encoding_header", "runtime_enabled",
		"compressor_library", "request_direction_config", "response_direction_config", "choose_first"); err != nil {
		return nil, err
	}
	if m.GetCompressorLibrary() == nil {
		return nil, strict.Errorf("compressor_library", "missing")
	}
	l, err := compileLibrary(m.GetCompressorLibrary())
	if err != nil {
		return nil, strict.At("compressor_library", err)
	}
	c := &config{library: l, first: m.GetChooseFirst()}
	if q := m.GetRequestDirectionConfig(); q != nil {
		if err := strict.Only(q, "common_config"); err != nil {
			return nil, strict.At("request_direction_config", err)
		}
		if c.request, err = compileDirection(q.GetCommonConfig()); err != nil {
			return nil, strict.At("request_direction_config.common_config", err)
		}
	}
	r := m.GetResponseDirectionConfig()
	if r == nil { // the older fields
		c.disableOnETag, c.removeAccept = m.GetDisableOnEtagHeader(), m.GetRemoveAcceptEncodingHeader()
		c.response, err = newDirection(m.GetRuntimeEnabled(), m.GetContentLength(), m.GetContentType(), nil)
		return c, err
	}
	if err := strict.Only(r, "common_config", "disable_on_etag_header", "weaken_etag_on_compress", "remove_accept_encoding_header", "uncompressible_response_codes"); err != nil {
		return nil, strict.At("response_direction_config", err)
	}
	c.scoped, c.disableOnETag, c.weakenETag, c.removeAccept = true, r.GetDisableOnEtagHeader(), r.GetWeakenEtagOnCompress(), r.GetRemoveAcceptEncodingHeader()
	for i, code := range r.GetUncompressibleResponseCodes() {
		if code < 200 || code > 599 {
			return nil, strict.At("response_direction_config", strict.AtIndex("uncompressible_response_codes", i, strict.Errorf("", "%d is no status", code)))
		}
		if c.codes == nil {
			c.codes = map[int]bool{}
		}
		c.codes[int(code)] = true
	}
	c.response, err = compileDirection(r.GetCommonConfig())
	return c, strict.At("response_direction_config.common_config", err)
}

func compileDirection(m *compressorv3.Compressor_CommonDirectionConfig) (direction, error) {
	if err := strict.Only(m, "enabled", "min_content_length", "content_type", "content_type_matcher"); err != nil {
		return direction{}, err
	}
	return newDirection(m.GetEnabled(), m.GetMinContentLength(), m.GetContentType(), m.GetContentTypeMatcher())
}

func newDirection(enabled *corev3.RuntimeFeatureFlag, least *wrapperspb.UInt32Value, types []string, matchers []*matcherv3.StringMatcher) (direction, error) {
	d := direction{enabled: enabled == nil || enabled.GetDefaultValue().GetValue(), least: 30}
	if least != nil {
		d.least = int64(least.GetValue())
	}
	if len(matchers) > 0 {
		var all []match.String
		for i, m := range matchers {
			s, err := match.CompileString(m)
			if err != nil {
				return d, strict.AtIndex("content_type_matcher", i, err)
			}
			all = append(all, s)
		}
		d.types = func(s string) bool {
			for _, m := range all {
				if m(s) {
					return true
				}
			}
			return false
		}
		return d, nil
	}
	if len(types) == 0 {
		types = usual
	}
	set := map[string]bool{}
	for _, t := range types {
		set[match.Lower(t)] = true
	}
	d.types = func(s string) bool { return set[match.Lower(s)] }
	return d, nil
}

// takes tells whether a Content-Type is one that is compressed; none is.
func (d *direction) takes(contentType string, there bool) bool {
	kind, _, _ := strings.Cut(contentType, ";")
	return !there || d.types(strings.Trim(kind, " \t"))
}

// settings are a compiled CompressorPerRoute.
type settings struct {
	disabled     bool
	response     bool  // responses are compressed, whatever the filter says
	removeAccept *bool // nil: as the filter says
	library      *library
}

func compilePerRoute(a *anypb.Any) (any, error) {
	var m compressorv3.CompressorPerRoute
	if err := strict.Unpack(a, &m); err != nil {
		return nil, err
	}
	if err := strict.Only(&m, "disabled", "overrides"); err != nil {
		return nil, err
	}
	switch o := m.GetOverride().(type) {
	case *compressorv3.CompressorPerRoute_Disabled:
		if !o.Disabled {
			return nil, strict.Errorf("disabled", "must be true")
		}
		return &settings{disabled: true}, nil
	case *compressorv3.CompressorPerRoute_Overrides:
		s, err := compileOverrides(o.Overrides)
		return s, strict.At("overrides", err)
	}
	return nil, strict.Errorf("override", "missing")
}

func compileOverrides(m *compressorv3.CompressorOverrides) (s *settings, err error) {
	if err := strict.Only(m, "response_direction_config", "compressor_library"); err != nil {
		return nil, err
	}
	s = &settings{response: m.GetResponseDirectionConfig() != nil}
	if err := strict.Only(m.GetResponseDirectionConfig(), "remove_accept_encoding_header"); err != nil {
		return nil, strict.At("response_direction_config", err)
	}
	if r := m.GetResponseDirectionConfig().GetRemoveAcceptEncodingHeader(); r != nil {
		s.removeAccept = &r.Value
	}
	if l := m.GetCompressorLibrary(); l != nil {
		s.library, err = compileLibrary(l)
	}
	return s, strict.At("compressor_library", err)
}
