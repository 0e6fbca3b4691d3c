package accesslog

//lint:file-ignore SA1019 Envoy still reads the fields that it has deprecated, and control planes send them.

import (
	"context"
	"encoding/json"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	grpcv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/grpc/v3"
	otelv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/open_telemetry/v3"
	commonv1 "go.opentelemetry.io/proto/otlp/common/v1"
	logsv1 "go.opentelemetry.io/proto/otlp/logs/v1"
	resourcev1 "go.opentelemetry.io/proto/otlp/resource/v1"

	"github.com/usher-mesh/usher/internal/proxy/customtag"
	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/format"
	"github.com/usher-mesh/usher/internal/proxy/otlp"
	"github.com/usher-mesh/usher/internal/proxy/strict"
)

// otlpLog sends records of OpenTelemetry (envoy.access_loggers.open_telemetry).
type otlpLog struct {
	body       anyValue // nil: none
	attributes []attribute
	states     []string // filter_state_objects_to_log
	tags       []customtag.Tag
	*queue[*logsv1.LogRecord]
}

func (l *otlpLog) close() { l.end() }

const logsExport = "/opentelemetry.proto.collector.logs.v1.LogsService/Export"

func compileOTLP(m *otelv3.OpenTelemetryAccessLogConfig, o Options) (*otlpLog, error) {
	if err := strict.Only(m, "common_config", "http_service", "grpc_service", "disable_builtin_labels", "resource_attributes", "body", "attributes",
		"stat_prefix", "formatters", "log_name", "buffer_flush_interval", "buffer_size_bytes", "filter_state_objects_to_log", "custom_tags"); err != nil {
		return nil, err
	}
	if err := format.Formatters(m.GetFormatters()); err != nil {
		return nil, err
	}
	common := m.GetCommonConfig()
	grpc, err := commonService(common)
	if err != nil {
		return nil, strict.At("common_config", err)
	}
	if m.GetGrpcService() != nil {
		grpc = m.GetGrpcService()
	}
	send, err := otlp.Compile(grpc, m.GetHttpService(), logsExport, o.Clusters)
	if err != nil {
		return nil, err
	}
	if send == nil {
		return nil, strict.Errorf("grpc_service", "missing, and http_service, too")
	}
	l := &otlpLog{states: m.GetFilterStateObjectsToLog()}
	if len(l.states) == 0 {
		l.states = common.GetFilterStateObjectsToLog()
	}
	if m.GetBody().GetValue() != nil {
		if l.body, err = compileAny(m.GetBody(), 0); err != nil {
			return nil, strict.At("body", err)
		}
	}
	if l.attributes, err = compileAttributes(m.GetAttributes(), 0); err != nil {
		return nil, strict.At("attributes", err)
	}
	if l.tags, err = customtag.Compile(m.GetCustomTags()); err != nil {
		return nil, err
	}
	if len(l.tags) == 0 {
		if l.tags, err = customtag.Compile(common.GetCustomTags()); err != nil {
			return nil, strict.At("common_config", err)
		}
	}
	resource := resourceOf(m, o.Node)
	buffer, at := buffered(m)
	name := "open_telemetry_access_log"
	if p := m.GetStatPrefix(); p != "" {
		name += "." + strings.TrimSuffix(p, ".")
	}
	l.queue, err = newQueue(func(ctx context.Context, records []*logsv1.LogRecord) error {
		// On the wire ExportLogsServiceRequest, whose package brings a gateway for HTTP along.
		return send(ctx, &logsv1.LogsData{ResourceLogs: []*logsv1.ResourceLogs{{
			Resource: resource, ScopeLogs: []*logsv1.ScopeLogs{{LogRecords: records}}}}})
	}, buffer, name, &o)
	if err != nil && at != "" {
		err = strict.At(at, err)
	}
	return l, err
}

// commonService checks a CommonGrpcAccessLogConfig and gives its service.
func commonService(m *grpcv3.CommonGrpcAccessLogConfig) (*corev3.GrpcService, error) {
	if err := strict.Only(m, "log_name", "grpc_service", "transport_api_version", "buffer_flush_interval", "buffer_size_bytes", "filter_state_objects_to_log", "custom_tags"); err != nil {
		return nil, err
	}
	if m.GetTransportApiVersion() == corev3.ApiVersion_V2 {
		return nil, strict.Errorf("transport_api_version", "V2: %w", strict.ErrUnsupported)
	}
	return m.GetGrpcService(), nil
}

// buffered gives what says when entries are sent, and where it stands: the older place
// counts if nothing is said at the newer.
func buffered(m *otelv3.OpenTelemetryAccessLogConfig) (b buffering, at string) {
	if c := m.GetCommonConfig(); m.GetBufferFlushInterval() == nil && m.GetBufferSizeBytes() == nil && c != nil {
		return c, "common_config"
	}
	return m, ""
}

// resourceOf says what is alike at all records: who sends them, and what is configured.
func resourceOf(m *otelv3.OpenTelemetryAccessLogConfig, node *corev3.Node) *resourcev1.Resource {
	var all []*commonv1.KeyValue
	if !m.GetDisableBuiltinLabels() {
		name := m.GetLogName()
		if name == "" {
			name = m.GetCommonConfig().GetLogName()
		}
		all = append(all, keyValue("log_name", name), keyValue("zone_name", node.GetLocality().GetZone()),
			keyValue("cluster_name", node.GetCluster()), keyValue("node_name", node.GetId()))
	}
next:
	for _, a := range m.GetResourceAttributes().GetValues() {
		for _, there := range all {
			if there.Key == a.GetKey() {
				there.Value = a.GetValue()
				continue next
			}
		}
		all = append(all, &commonv1.KeyValue{Key: a.GetKey(), Value: a.GetValue()})
	}
	return &resourcev1.Resource{Attributes: all}
}

func (l *otlpLog) record(x *exchange.Exchange) {
	s := &format.Subject{X: x}
	r := &logsv1.LogRecord{TimeUnixNano: uint64(x.Start.UnixNano()), Attributes: fill(l.attributes, s)}
	if l.body != nil {
		r.Body = l.body(s)
	}
	if x.Trace.ID != [16]byte{} {
		id, span := x.Trace.ID, x.Trace.Span
		r.TraceId, r.SpanId = id[:], span[:]
	}
	for _, name := range l.states {
		if v, ok := x.FilterState[name]; ok {
			b, _ := json.Marshal(v) // a text always has one
			r.Attributes = append(r.Attributes, keyValue(name, string(b)))
		} else if name == exchange.MessagesState && x.Messages.State() {
			r.Attributes = append(r.Attributes, keyValue(name, string(x.Messages.AppendJSON(nil))))
		}
	}
	for i := range l.tags {
		if v := l.tags[i].Of(x); v != "" {
			r.Attributes = append(r.Attributes, keyValue(l.tags[i].Name, v))
		}
	}
	l.add(r)
}

// anyValue makes a compiled AnyValue's value of a request.
type anyValue func(*format.Subject) *commonv1.AnyValue

type attribute struct {
	key   string
	value anyValue
}

func fill(list []attribute, s *format.Subject) []*commonv1.KeyValue {
	out := make([]*commonv1.KeyValue, len(list))
	for i, a := range list {
		out[i] = &commonv1.KeyValue{Key: a.key, Value: a.value(s)}
	}
	return out
}

// compileAny compiles texts, whose operators count, and lists and objects of them.
func compileAny(m *commonv1.AnyValue, depth int) (anyValue, error) {
	if depth > maxFilterDepth {
		return nil, strict.Errorf("", "nested deeper than %d", maxFilterDepth)
	}
	switch v := m.GetValue().(type) {
	case *commonv1.AnyValue_StringValue:
		f, err := format.Text(v.StringValue, false)
		if err != nil {
			return nil, strict.At("string_value", err)
		}
		return func(s *format.Subject) *commonv1.AnyValue { return stringValue(string(f.Append(nil, s))) }, nil
	case *commonv1.AnyValue_KvlistValue:
		list, err := compileAttributes(v.KvlistValue, depth+1)
		return func(s *format.Subject) *commonv1.AnyValue {
			return &commonv1.AnyValue{Value: &commonv1.AnyValue_KvlistValue{KvlistValue: &commonv1.KeyValueList{Values: fill(list, s)}}}
		}, strict.At("kvlist_value", err)
	case *commonv1.AnyValue_ArrayValue:
		var list []anyValue
		for i, e := range v.ArrayValue.GetValues() {
			c, err := compileAny(e, depth+1)
			if err != nil {
				return nil, strict.At("array_value", strict.AtIndex("values", i, err))
			}
			list = append(list, c)
		}
		return func(s *format.Subject) *commonv1.AnyValue {
			out := &commonv1.ArrayValue{Values: make([]*commonv1.AnyValue, len(list))}
			for i, c := range list {
				out.Values[i] = c(s)
			}
			return &commonv1.AnyValue{Value: &commonv1.AnyValue_ArrayValue{ArrayValue: out}}
		}, nil
	}
	return nil, strict.Errorf("", "neither string_value, kvlist_value nor array_value: %w", strict.ErrUnsupported)
}

func compileAttributes(m *commonv1.KeyValueList, depth int) (out []attribute, err error) {
	for i, kv := range m.GetValues() {
		v, err := compileAny(kv.GetValue(), depth)
		if err != nil {
			return nil, strict.AtIndex("values", i, strict.At("value", err))
		}
		out = append(out, attribute{kv.GetKey(), v})
	}
	return out, nil
}

func keyValue(key, value string) *commonv1.KeyValue {
	return &commonv1.KeyValue{Key: key, Value: stringValue(value)}
}

func stringValue(v string) *commonv1.AnyValue {
	return &commonv1.AnyValue{Value: &commonv1.AnyValue_StringValue{StringValue: valid(v)}}
}

// valid gives a copy of a text in UTF-8, as protobuf wants it.
func valid(s string) string { return strings.Clone(strings.ToValidUTF8(s, "!")) }
