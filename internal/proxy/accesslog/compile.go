package accesslog

//lint:file-ignore SA1019 Envoy still reads the fields that it has deprecated, and control planes send them.

import (
	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	filev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/file/v3"
	streamv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/stream/v3"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/format"
	"github.com/usher-mesh/usher/internal/proxy/strict"
)

// DefaultFormat is Envoy's.
const DefaultFormat = `[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% %RESPONSE_FLAGS% ` +
	`%BYTES_RECEIVED% %BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" ` +
	`"%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%"` + "\n"

// Logger writes requests of one log.
type Logger struct {
	filter Filter // nil: all
	format *format.Format
	sink   *sink
}

// Log writes a request as it is now, if the log is for it.
func (l *Logger) Log(x *exchange.Exchange) {
	if l.filter == nil || l.filter(x) {
		l.sink.write(l.format, x)
	}
}

// CompileAll makes the loggers of a list. Files are opened through files.
func CompileAll(list []*accesslogv3.AccessLog, files *Files) ([]*Logger, error) {
	var out []*Logger
	for i, m := range list {
		l, err := Compile(m, files)
		if err != nil {
			return nil, strict.AtIndex("access_log", i, err)
		}
		out = append(out, l)
	}
	return out, nil
}

// Compile makes a logger of Envoy's message.
func Compile(m *accesslogv3.AccessLog, files *Files) (*Logger, error) {
	if err := strict.Only(m, "name", "filter", "typed_config"); err != nil {
		return nil, err
	}
	if files == nil {
		return nil, strict.Errorf("typed_config", "access logs: %w", strict.ErrUnsupported)
	}
	l := new(Logger)
	var err error
	if m.GetFilter() != nil {
		if l.filter, err = CompileFilter(m.GetFilter()); err != nil {
			return nil, strict.At("filter", err)
		}
	}
	switch any := m.GetTypedConfig(); {
	case any.MessageIs((*filev3.FileAccessLog)(nil)):
		f := new(filev3.FileAccessLog)
		if err = any.UnmarshalTo(f); err == nil {
			err = l.file(f, files)
		}
	case any.MessageIs((*streamv3.StdoutAccessLog)(nil)):
		f := new(streamv3.StdoutAccessLog)
		if err = any.UnmarshalTo(f); err == nil {
			l.sink = files.stdout()
			l.format, err = compileFormat(f.GetLogFormat())
		}
	case any.MessageIs((*streamv3.StderrAccessLog)(nil)):
		f := new(streamv3.StderrAccessLog)
		if err = any.UnmarshalTo(f); err == nil {
			l.sink = files.stderr()
			l.format, err = compileFormat(f.GetLogFormat())
		}
	default:
		err = strict.Errorf("", "%s: %w", any.GetTypeUrl(), strict.ErrUnsupported)
	}
	if err != nil {
		return nil, strict.At("typed_config", err)
	}
	return l, nil
}

func (l *Logger) file(f *filev3.FileAccessLog, files *Files) (err error) {
	if err := strict.Only(f, "path", "format", "json_format", "typed_json_format", "log_format"); err != nil {
		return err
	}
	switch {
	case f.GetJsonFormat() != nil:
		l.format, err = format.JSON(f.GetJsonFormat(), false)
		err = strict.At("json_format", err)
	case f.GetTypedJsonFormat() != nil:
		l.format, err = format.JSON(f.GetTypedJsonFormat(), false)
		err = strict.At("typed_json_format", err)
	case f.GetFormat() != "":
		l.format, err = format.Text(f.GetFormat(), false)
		err = strict.At("format", err)
	default:
		l.format, err = compileFormat(f.GetLogFormat())
	}
	if err != nil {
		return err
	}
	if f.GetPath() == "" {
		return strict.Errorf("path", "empty")
	}
	l.sink, err = files.open(f.GetPath())
	return strict.At("path", err)
}

func compileFormat(m *corev3.SubstitutionFormatString) (*format.Format, error) {
	if m == nil {
		return format.Text(DefaultFormat, false)
	}
	f, err := format.Compile(m)
	return f, strict.At("log_format", err)
}
