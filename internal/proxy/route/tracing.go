package route

import (
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"

	"github.com/usher-mesh/usher/internal/proxy/customtag"
	"github.com/usher-mesh/usher/internal/proxy/match"
	"github.com/usher-mesh/usher/internal/proxy/strict"
)

// Tracing is what a route says of its requests' spans, in place of the connection
// manager: the shares of those that are traced, and tags, which count before its own.
type Tracing struct {
	Client, Random, Overall match.Fraction
	Tags                    []customtag.Tag
}

// compileTracing compiles a Tracing; nil is none. A share that is not said is everything.
func compileTracing(m *routev3.Tracing) (*Tracing, error) {
	if m == nil {
		return nil, nil
	}
	if err := strict.Only(m, "client_sampling", "random_sampling", "overall_sampling", "custom_tags"); err != nil {
		return nil, err
	}
	t := new(Tracing)
	for _, f := range []struct {
		name string
		from *typev3.FractionalPercent
		to   *match.Fraction
	}{{"client_sampling", m.GetClientSampling(), &t.Client}, {"random_sampling", m.GetRandomSampling(), &t.Random}, {"overall_sampling", m.GetOverallSampling(), &t.Overall}} {
		if *f.to = match.Everything; f.from == nil {
			continue
		}
		var err error
		if *f.to, err = match.CompileFraction(f.from); err != nil {
			return nil, strict.At(f.name, err)
		}
	}
	var err error
	t.Tags, err = customtag.Compile(m.GetCustomTags())
	return t, err
}
