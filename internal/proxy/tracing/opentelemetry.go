package tracing

import (
	"context"

	tracev3 "github.com/envoyproxy/go-control-plane/envoy/config/trace/v3"
	samplersv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/tracers/opentelemetry/samplers/v3"
	commonv1 "go.opentelemetry.io/proto/otlp/common/v1"
	resourcev1 "go.opentelemetry.io/proto/otlp/resource/v1"
	tracev1 "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/usher-mesh/usher/internal/proxy/otlp"
	"github.com/usher-mesh/usher/internal/proxy/strict"
	"github.com/usher-mesh/usher/internal/version"
)

// openTelemetry compiles the provider envoy.tracers.opentelemetry.
func (t *Tracing) openTelemetry(a *anypb.Any, o Options) error {
	c := new(tracev3.OpenTelemetryConfig)
	if err := strict.Unpack(a, c); err != nil {
		return err
	}
	if err := strict.Only(c, "grpc_service", "http_service", "service_name", "sampler", "max_cache_size",
		"set_telemetry_sdk_resource_attributes", "set_service_name_resource_attribute", "set_instrumentation_scope"); err != nil {
		return err
	}
	if s := c.GetSampler(); s != nil {
		m := new(samplersv3.AlwaysOnSamplerConfig)
		if !s.GetTypedConfig().MessageIs(m) {
			return strict.At("sampler.typed_config", strict.Unknown(s.GetTypedConfig()))
		}
		t.always = true
	}
	t.carrier = w3c{}
	m := &messages{resource: &resourcev1.Resource{}}
	n := uint32(defaultCache)
	if c.GetMaxCacheSize() != nil {
		n = c.GetMaxCacheSize().GetValue()
	}
	if n == 0 || n > maxCache {
		return strict.Errorf("max_cache_size", "not from 1 to %d", maxCache)
	}
	add := func(key, value string) {
		m.resource.Attributes = append(m.resource.Attributes, &commonv1.KeyValue{Key: key,
			Value: &commonv1.AnyValue{Value: &commonv1.AnyValue_StringValue{StringValue: value}}})
	}
	if on := c.GetSetServiceNameResourceAttribute(); on == nil || on.GetValue() {
		name := c.GetServiceName()
		if name == "" {
			name = "unknown_service:envoy"
		}
		add("service.name", name)
	}
	if on := c.GetSetTelemetrySdkResourceAttributes(); on == nil || on.GetValue() {
		add("telemetry.sdk.language", "go")
		add("telemetry.sdk.name", "usher")
		add("telemetry.sdk.version", version.Version)
	}
	if on := c.GetSetInstrumentationScope(); on == nil || on.GetValue() {
		m.scope = &commonv1.InstrumentationScope{Name: "usher", Version: version.Version}
	}
	var err error
	if m.send, err = otlp.Compile(c.GetGrpcService(), c.GetHttpService(), "/opentelemetry.proto.collector.trace.v1.TraceService/Export", o.Clusters); err != nil {
		return err
	}
	if m.send == nil {
		return strict.Errorf("grpc_service", "missing, and http_service, too")
	}
	t.exporter = &exporter{log: o.Log, spans: make(chan *tracev1.Span, n), send: m.export}
	return nil
}

// messages says batches of spans in OpenTelemetry's form.
type messages struct {
	resource *resourcev1.Resource
	scope    *commonv1.InstrumentationScope
	send     otlp.Send
}

func (m *messages) export(ctx context.Context, batch []*tracev1.Span) error {
	// On the wire ExportTraceServiceRequest, whose package brings a gateway for HTTP along.
	return m.send(ctx, &tracev1.TracesData{ResourceSpans: []*tracev1.ResourceSpans{{
		Resource: m.resource, ScopeSpans: []*tracev1.ScopeSpans{{Scope: m.scope, Spans: batch}}}}})
}
