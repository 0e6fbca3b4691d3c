package accesslog

//lint:file-ignore SA1019 Envoy still reads the fields that it has deprecated, and control planes send them.

import (
	"encoding/json"
	"sort"

	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	filev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/file/v3"
	streamv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/stream/v3"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/strict"
)

// DefaultFormat is Envoy's.
const DefaultFormat = `[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% %RESPONSE_FLAGS% ` +
	`%BYTES_RECEIVED% %BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" ` +
	`"%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%"` + "\n"

// Compile makes a logger of Envoy's message. Files are opened through files.
func Compile(m *accesslogv3.AccessLog, files *Files) (Logger, error) {
	if err := strict.Only(m, "name", "typed_config"); err != nil {
		return nil, err
	}
	if files == nil {
		return nil, strict.Errorf("typed_config", "access logs: %w", strict.ErrUnsupported)
	}
	switch any := m.GetTypedConfig(); {
	case any.MessageIs((*filev3.FileAccessLog)(nil)):
		f := new(filev3.FileAccessLog)
		if err := any.UnmarshalTo(f); err != nil {
			return nil, strict.At("typed_config", err)
		}
		l, err := compileFile(f, files)
		return l, strict.At("typed_config", err)
	case any.MessageIs((*streamv3.StdoutAccessLog)(nil)):
		f := new(streamv3.StdoutAccessLog)
		if err := any.UnmarshalTo(f); err != nil {
			return nil, strict.At("typed_config", err)
		}
		render, err := compileFormat(f.GetLogFormat())
		return &logger{render, files.stdout()}, strict.At("typed_config.log_format", err)
	case any.MessageIs((*streamv3.StderrAccessLog)(nil)):
		f := new(streamv3.StderrAccessLog)
		if err := any.UnmarshalTo(f); err != nil {
			return nil, strict.At("typed_config", err)
		}
		render, err := compileFormat(f.GetLogFormat())
		return &logger{render, files.stderr()}, strict.At("typed_config.log_format", err)
	default:
		return nil, strict.Errorf("typed_config", "%s: %w", any.GetTypeUrl(), strict.ErrUnsupported)
	}
}

func compileFile(f *filev3.FileAccessLog, files *Files) (Logger, error) {
	if err := strict.Only(f, "path", "format", "json_format", "typed_json_format", "log_format"); err != nil {
		return nil, err
	}
	var render renderer
	var err error
	switch {
	case f.GetLogFormat() != nil:
		render, err = compileFormat(f.GetLogFormat())
		err = strict.At("log_format", err)
	case f.GetJsonFormat() != nil:
		render, err = compileJSON(f.GetJsonFormat())
		err = strict.At("json_format", err)
	case f.GetTypedJsonFormat() != nil:
		render, err = compileJSON(f.GetTypedJsonFormat())
		err = strict.At("typed_json_format", err)
	case f.GetFormat() != "":
		render, err = compileText(f.GetFormat())
		err = strict.At("format", err)
	default:
		render, err = compileText(DefaultFormat)
	}
	if err != nil {
		return nil, err
	}
	if f.GetPath() == "" {
		return nil, strict.Errorf("path", "empty")
	}
	sink, err := files.open(f.GetPath())
	if err != nil {
		return nil, strict.At("path", err)
	}
	return &logger{render, sink}, nil
}

func compileFormat(f *corev3.SubstitutionFormatString) (renderer, error) {
	if f == nil {
		return compileText(DefaultFormat)
	}
	if err := strict.Only(f, "text_format", "text_format_source", "json_format", "omit_empty_values"); err != nil {
		return nil, err
	}
	switch {
	case f.GetJsonFormat() != nil:
		return compileJSON(f.GetJsonFormat())
	case f.GetTextFormatSource() != nil:
		if f.GetTextFormatSource().GetInlineString() == "" {
			return nil, strict.Errorf("text_format_source", "not inline_string: %w", strict.ErrUnsupported)
		}
		return compileText(f.GetTextFormatSource().GetInlineString())
	}
	return compileText(f.GetTextFormat())
}

// Text is a compiled format of one text, for filters that take values from
// requests. It shows no more than a log does.
type Text struct{ parts []part }

// CompileText compiles a format of text.
func CompileText(f *corev3.SubstitutionFormatString) (Text, error) {
	if err := strict.Only(f, "text_format", "text_format_source"); err != nil {
		return Text{}, err
	}
	format := f.GetTextFormat()
	if s := f.GetTextFormatSource(); s != nil {
		if err := strict.Only(s, "inline_string"); err != nil {
			return Text{}, strict.At("text_format_source", err)
		}
		format = s.GetInlineString()
	}
	if format == "" {
		return Text{}, strict.Errorf("text_format_source", "missing")
	}
	parts, err := parse(format)
	return Text{parts}, err
}

// Of gives the text for a request, "-" for what is not there.
func (t Text) Of(x *exchange.Exchange) string {
	e := Entry{X: x, Upstream: -1, OriginalPath: x.Request.Path}
	var b []byte
	for i := range t.parts {
		b = t.parts[i].appendRaw(b, &e)
	}
	return string(b)
}

// CompileAll makes the loggers of a list.
func CompileAll(list []*accesslogv3.AccessLog, files *Files) ([]Logger, error) {
	var out []Logger
	for i, m := range list {
		l, err := Compile(m, files)
		if err != nil {
			return nil, strict.AtIndex("access_log", i, err)
		}
		out = append(out, l)
	}
	return out, nil
}

// renderer appends the line of an entry.
type renderer func(b []byte, e *Entry) []byte

func compileText(format string) (renderer, error) {
	parts, err := parse(format)
	if err != nil {
		return nil, err
	}
	return func(b []byte, e *Entry) []byte {
		for i := range parts {
			b = parts[i].appendText(b, e)
		}
		return b
	}, nil
}

type jsonField struct {
	key   []byte // with quotes and colon
	parts []part
}

// compileJSON makes lines of one object whose members are sorted.
func compileJSON(s *structpb.Struct) (renderer, error) {
	var fields []jsonField
	for k, v := range s.GetFields() {
		t, ok := v.GetKind().(*structpb.Value_StringValue)
		if !ok {
			return nil, strict.Errorf("fields["+k+"]", "not a string: %w", strict.ErrUnsupported)
		}
		parts, err := parse(t.StringValue)
		if err != nil {
			return nil, strict.At("fields["+k+"]", err)
		}
		name, err := json.Marshal(k)
		if err != nil {
			return nil, err
		}
		fields = append(fields, jsonField{append(name, ':'), parts})
	}
	sort.Slice(fields, func(i, j int) bool { return string(fields[i].key) < string(fields[j].key) })
	return func(b []byte, e *Entry) []byte {
		b = append(b, '{')
		for i := range fields {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(b, fields[i].key...)
			b = appendValue(b, e, fields[i].parts)
		}
		return append(b, "}\n"...)
	}, nil
}

// appendValue appends what parts give as JSON: an operator's own kind of value if
// it alone stands there, else a string.
func appendValue(b []byte, e *Entry, parts []part) []byte {
	if len(parts) == 1 && parts[0].op != nil {
		v := parts[0].op(e)
		switch {
		case v.missing:
			return append(b, "null"...)
		case v.json:
			return append(b, v.text...)
		}
	}
	var t []byte
	for i := range parts {
		t = parts[i].appendRaw(t, e)
	}
	return appendQuoted(b, t)
}
