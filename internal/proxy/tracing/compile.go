package tracing

import (
	"log/slog"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tracev3 "github.com/envoyproxy/go-control-plane/envoy/config/trace/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"

	"github.com/usher-mesh/usher/internal/proxy/counters"
	"github.com/usher-mesh/usher/internal/proxy/customtag"
	"github.com/usher-mesh/usher/internal/proxy/match"
	"github.com/usher-mesh/usher/internal/proxy/strict"
	"github.com/usher-mesh/usher/internal/proxy/upstream"
)

// Options are what a tracer needs besides its configuration.
type Options struct {
	Clusters func(name string) *upstream.Cluster
	Outbound bool // requests leave the workload here
	Node     *corev3.Node
	Counters *counters.Set
	Log      *slog.Logger
}

// Tracing is a compiled HttpConnectionManager.Tracing.
type Tracing struct {
	Shares           Shares // unless a route says others
	tags             []customtag.Tag
	maxPath          int
	spawn, noContext bool
	outbound         bool
	carrier          propagation
	always           bool   // sampler: always_on
	hosts            bool   // a span is called as the host that is asked, for Zipkin
	split            bool   // a span for the client's side is another one, whoever makes it
	node, zone       string // of this proxy
	exporter         *exporter
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
		{"client_sampling", m.GetClientSampling(), &t.Shares.Client, typev3.FractionalPercent_HUNDRED},
		{"random_sampling", m.GetRandomSampling(), &t.Shares.Random, typev3.FractionalPercent_TEN_THOUSAND},
		{"overall_sampling", m.GetOverallSampling(), &t.Shares.Overall, typev3.FractionalPercent_HUNDRED},
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
	if err := strict.Only(p, "name", "typed_config"); err != nil {
		return nil, strict.At("provider", err)
	}
	switch a := p.GetTypedConfig(); {
	case a.MessageIs(new(tracev3.OpenTelemetryConfig)):
		err = t.openTelemetry(a, o)
	case a.MessageIs(new(tracev3.ZipkinConfig)):
		err = t.zipkin(a, o)
	default:
		err = strict.Unknown(a)
	}
	if err != nil {
		return nil, strict.At("provider.typed_config", err)
	}
	t.exporter.start()
	return t, nil
}

// Close sends what is there, in the background.
func (t *Tracing) Close() { t.exporter.end() }
