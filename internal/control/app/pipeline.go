package app

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/usher-mesh/usher/internal/control/mirror"
	"github.com/usher-mesh/usher/internal/control/source"
	"github.com/usher-mesh/usher/internal/control/status"
	"github.com/usher-mesh/usher/internal/control/translate"
	"github.com/usher-mesh/usher/internal/control/xds"
	"github.com/usher-mesh/usher/internal/control/xdsgen"
	"github.com/usher-mesh/usher/internal/mesh"
)

// pipeline takes each snapshot through translation to proxies, key sets and
// status.
type pipeline struct {
	o          Options
	log        *slog.Logger
	translator *translate.Translator
	generator  *xdsgen.Generator
	mirror     *mirror.Mirror
	xds        *xds.Server
	status     *status.Writer

	model   atomic.Pointer[mesh.Model]
	keys    chan struct{} // a key set's state may have changed
	ready   sync.Once
	seconds prometheus.Histogram
	objects prometheus.Gauge

	settingsFaults []string // of the mesh configuration, as logged; of take alone
}

func newPipeline(o Options, g *xdsgen.Generator) *pipeline {
	return &pipeline{
		o: o, log: o.Log.With("part", "pipeline"), translator: translate.New(), generator: g,
		keys: make(chan struct{}, 1),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: "usher", Name: "translate_seconds", Help: "From a snapshot to its model at the xDS server.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, 1},
		}),
		objects: prometheus.NewGauge(prometheus.GaugeOpts{
			Namespace: "usher", Name: "objects", Help: "Objects of the mesh's API that the newest model was made from.",
		}),
	}
}

func (p *pipeline) attach(m *mirror.Mirror, x *xds.Server, s *status.Writer) {
	p.mirror, p.xds, p.status = m, x, s
}

func (p *pipeline) collectors() []prometheus.Collector {
	return []prometheus.Collector{p.seconds, p.objects}
}

func (p *pipeline) run(ctx context.Context) error {
	return source.Run(ctx, p.o.Config, source.Options{Log: p.o.Log.With("part", "source")}, p.take)
}

// take is one turn. The mirror learns of key sets before proxies that may ask for
// them.
func (p *pipeline) take(s *source.Snapshot) {
	begin := time.Now()
	model, statuses := p.translator.Translate(s)
	p.model.Store(model)
	p.mirror.Set(model.KeySets, model.Settings.JWKSRoots)
	p.xds.Update(model)
	took := time.Since(begin)
	p.seconds.Observe(took.Seconds())
	p.objects.Set(float64(len(statuses)))
	p.log.Debug("a new model", "generation", model.Generation, "objects", len(statuses), "took", took)
	p.reportSettings(statuses)
	p.status.Set(model.Generation, statuses)
	p.keysChanged()
	p.ready.Do(func() {
		if p.o.Ready != nil {
			p.o.Ready()
		}
	})
}

// resolve gives the endpoints of a mesh service to the mirror.
func (p *pipeline) resolve(hostport string) ([]netip.AddrPort, bool) {
	m := p.model.Load()
	host, port, err := net.SplitHostPort(hostport)
	if m == nil || err != nil {
		return nil, false
	}
	s := m.Service(host)
	if s == nil {
		return nil, false
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return nil, true
	}
	if i := s.Port(uint16(n)); i >= 0 {
		return s.Addresses(i), true
	}
	return nil, true
}
