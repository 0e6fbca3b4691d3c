package accesslog

//lint:file-ignore SA1019 Envoy still reads the fields that it has deprecated, and control planes send them.

import (
	"log/slog"

	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	filev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/file/v3"
	grpcv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/grpc/v3"
	otelv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/open_telemetry/v3"
	streamv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/stream/v3"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/usher-mesh/usher/internal/proxy/counters"
	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/format"
	"github.com/usher-mesh/usher/internal/proxy/strict"
	"github.com/usher-mesh/usher/internal/proxy/upstream"
)

// DefaultFormat is Envoy's.
const DefaultFormat = `[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% %RESPONSE_FLAGS% ` +
	`%BYTES_RECEIVED% %BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" ` +
	`"%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%"` + "\n"

// Options are what loggers need besides their configuration.
type Options struct {
	Files *Files // nil: all loggers are refused
	// Clusters gives those of collectors; nil: loggers that send to others are refused.
	Clusters func(name string) *upstream.Cluster
	Node     *corev3.Node  // this proxy
	Counters *counters.Set // nil: nobody's
	Log      *slog.Logger
}

// Logger writes requests of one log.
type Logger struct {
	filter Filter // nil: all
	to     recorder
}

// recorder takes requests as they are now.
type recorder interface {
	record(*exchange.Exchange)
	close()
}

// Log writes a request as it is now, if the log is for it.
func (l *Logger) Log(x *exchange.Exchange) {
	if l.filter == nil || l.filter(x) {
		l.to.record(x)
	}
}

// Close lets go of loggers. What they log after that is written, too.
func Close(loggers []*Logger) {
	for _, l := range loggers {
		l.to.close()
	}
}

// CompileAll makes the loggers of a list, which are closed some time (Close).
func CompileAll(list []*accesslogv3.AccessLog, o Options) ([]*Logger, error) {
	var out []*Logger
	for i, m := range list {
		l, err := Compile(m, o)
		if err != nil {
			Close(out)
			return nil, strict.AtIndex("access_log", i, err)
		}
		out = append(out, l)
	}
	return out, nil
}

// Compile makes a logger of Envoy's message.
func Compile(m *accesslogv3.AccessLog, o Options) (*Logger, error) {
	if err := strict.Only(m, "name", "filter", "typed_config"); err != nil {
		return nil, err
	}
	if o.Files == nil {
		return nil, strict.Errorf("typed_config", "access logs: %w", strict.ErrUnsupported)
	}
	l := new(Logger)
	var err error
	if m.GetFilter() != nil {
		if l.filter, err = CompileFilter(m.GetFilter()); err != nil {
			return nil, strict.At("filter", err)
		}
	}
	if l.to, err = compileRecorder(m.GetTypedConfig(), o); err != nil {
		return nil, strict.At("typed_config", err)
	}
	return l, nil
}

func compileRecorder(any *anypb.Any, o Options) (recorder, error) {
	m, err := any.UnmarshalNew()
	if err != nil {
		return nil, strict.Unknown(any)
	}
	switch m := m.(type) {
	case *filev3.FileAccessLog:
		return compileFile(m, o.Files)
	case *streamv3.StdoutAccessLog:
		f, err := compileFormat(m.GetLogFormat())
		return &lines{f, o.Files.stdout()}, err
	case *streamv3.StderrAccessLog:
		f, err := compileFormat(m.GetLogFormat())
		return &lines{f, o.Files.stderr()}, err
	case *otelv3.OpenTelemetryAccessLogConfig:
		if o.Clusters != nil {
			return compileOTLP(m, o)
		}
	case *grpcv3.HttpGrpcAccessLogConfig:
		if o.Clusters != nil {
			return compileHTTPGRPC(m, o)
		}
	case *grpcv3.TcpGrpcAccessLogConfig:
		if o.Clusters != nil {
			return compileTCPGRPC(m, o)
		}
	}
	return nil, strict.Unknown(any)
}

// lines writes lines to a file.
type lines struct {
	format *format.Format
	sink   *sink
}

func (l *lines) record(x *exchange.Exchange) { l.sink.write(l.format, x) }
func (l *lines) close()                      {} // files stay open

func compileFile(f *filev3.FileAccessLog, files *Files) (*lines, error) {
	if err := strict.Only(f, "path", "format", "json_format", "typed_json_format", "log_format"); err != nil {
		return nil, err
	}
	l := new(lines)
	var err error
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
		return nil, err
	}
	if f.GetPath() == "" {
		return nil, strict.Errorf("path", "empty")
	}
	l.sink, err = files.open(f.GetPath())
	return l, strict.At("path", err)
}

func compileFormat(m *corev3.SubstitutionFormatString) (*format.Format, error) {
	if m == nil {
		return format.Text(DefaultFormat, false)
	}
	f, err := format.Compile(m)
	return f, strict.At("log_format", err)
}
