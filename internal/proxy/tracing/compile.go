package tracing

import (
	"context"
	"log/slog"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tracev3 "github.com/envoyproxy/go-control-plane/envoy/config/trace/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	samplersv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/tracers/opentelemetry/samplers/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	commonv1 "go.opentelemetry.io/proto/otlp/common/v1"
	resourcev1 "go.opentelemetry.io/proto/otlp/resource/v1"
	tracev1 "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/usher-mesh/usher/internal/proxy/customtag"
	"github.com/usher-mesh/usher/internal/proxy/match"
	"github.com/usher-mesh/usher/internal/proxy/otlp"
	"github.com/usher-mesh/usher/internal/proxy/strict"
	"github.com/usher-mesh/usher/internal/proxy/upstream"
	"github.com/usher-mesh/usher/internal/version"
)

// Options are what a tracer needs besides its configuration.
type Options struct {
	Clusters func(name string) *upstream.Cluster
	Outbound bool // requests leave the workload here
	Node     *corev3.Node
	Log      *slog.Logger
}

// Tracing is a compiled HttpConnectionManager.Tracing.
type Tracing struct {
	client, random, overall match.Fraction
	tags                    []customtag.Tag
	maxPath                 int
	spawn, noContext        bool
	outbound                bool
	always                  bool   // sampler: always_on
	node, zone              string // of this proxy
	exporter                *exporter
}

// Envoy's defaults.
const (
	defaultPath  = 256
	defaultCache = 1024
	maxCache     = 1 << 16
)

// Compile makes a tracer of Envoy's message; nil without a provider, as in Envoy.
func Compile(m *hcmv3.HttpConnectionManager_Tracing, o Options) (*Tracing, error) {
	if err := strict.Only(m, "client_sampling", "random_sampling", "overall_sampling", "max_path_tag_length",
		"custom_tags", "provider", "spawn_upstream_span", "no_context_propagation"); err != nil {
		return nil, err
	}
	t := &Tracing{maxPath: defaultPath, spawn: m.GetSpawnUpstreamSpan().GetValue(), noContext: m.GetNoContextPropagation(), outbound: o.Outbound,
		node: o.Node.GetId(), zone: o.Node.GetLocality().GetZone()}
	if n := m.GetMaxPathTagLength(); n != nil {
		t.maxPath = int(n.GetValue())
	}
	for _, f := range []struct {
		name string
		from *typev3.Percent
		to   *match.Fraction
		of   typev3.FractionalPercent_DenominatorType
	}{
		{"client_sampling", m.GetClientSampling(), &t.client, typev3.FractionalPercent_HUNDRED},
		{"random_sampling", m.GetRandomSampling(), &t.random, typev3.FractionalPercent_TEN_THOUSAND},
		{"overall_sampling", m.GetOverallSampling(), &t.overall, typev3.FractionalPercent_HUNDRED},
	} {
		v := 100.0
		if f.from != nil {
			v = f.from.GetValue()
		}
		if !(v >= 0 && v <= 100) {
			return nil, strict.Errorf(f.name, "not from 0 to 100")
		}
		if f.of == typev3.FractionalPercent_TEN_THOUSAND {
			v *= 100
		}
		*f.to, _ = match.CompileFraction(&typev3.FractionalPercent{Numerator: uint32(v), Denominator: f.of})
	}
	var err error
	if t.tags, err = customtag.Compile(m.GetCustomTags()); err != nil {
		return nil, err
	}
	p := m.GetProvider()
	if p == nil {
		return nil, nil
	}
	c := new(tracev3.OpenTelemetryConfig)
	if err := strict.Only(p, "name", "typed_config"); err != nil {
		return nil, strict.At("provider", err)
	}
	if !p.GetTypedConfig().MessageIs(c) {
		return nil, strict.Errorf("provider.typed_config", "%s: %w", p.GetTypedConfig().GetTypeUrl(), strict.ErrUnsupported)
	}
	if err = strict.Unpack(p.GetTypedConfig(), c); err == nil {
		err = t.provider(c, o)
	}
	if err != nil {
		return nil, strict.At("provider.typed_config", err)
	}
	return t, nil
}

func (t *Tracing) provider(c *tracev3.OpenTelemetryConfig, o Options) error {
	if err := strict.Only(c, "grpc_service", "http_service", "service_name", "sampler", "max_cache_size",
		"set_telemetry_sdk_resource_attributes", "set_service_name_resource_attribute", "set_instrumentation_scope"); err != nil {
		return err
	}
	if s := c.GetSampler(); s != nil {
		m := new(samplersv3.AlwaysOnSamplerConfig)
		if !s.GetTypedConfig().MessageIs(m) {
			return strict.Errorf("sampler.typed_config", "%s: %w", s.GetTypedConfig().GetTypeUrl(), strict.ErrUnsupported)
		}
		t.always = true
	}
	e := &exporter{log: o.Log, resource: &resourcev1.Resource{}}
	n := uint32(defaultCache)
	if c.GetMaxCacheSize() != nil {
		n = c.GetMaxCacheSize().GetValue()
	}
	if n == 0 || n > maxCache {
		return strict.Errorf("max_cache_size", "not from 1 to %d", maxCache)
	}
	e.spans = make(chan *tracev1.Span, n)
	add := func(key, value string) {
		e.resource.Attributes = append(e.resource.Attributes, &commonv1.KeyValue{Key: key,
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
		e.scope = &commonv1.InstrumentationScope{Name: "usher", Version: version.Version}
	}
	var err error
	if e.send, err = otlp.Compile(c.GetGrpcService(), c.GetHttpService(), "/opentelemetry.proto.collector.trace.v1.TraceService/Export", o.Clusters); err != nil {
		return err
	}
	if e.send == nil {
		e.send = func(context.Context, proto.Message) error { return nil } // nobody is told
	}
	t.exporter = e
	e.start()
	return nil
}

// Close sends what is there, in the background.
func (t *Tracing) Close() { t.exporter.end() }
