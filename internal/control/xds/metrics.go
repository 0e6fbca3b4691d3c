package xds

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	pushes, nacks, ended *prometheus.CounterVec
	bytes                prometheus.Counter
	refusedSecrets       prometheus.Counter
	answers              *prometheus.HistogramVec
	connected            prometheus.GaugeFunc
}

func newMetrics(s *Server) *metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "usher", Subsystem: "xds", Name: name, Help: help}, labels)
	}
	return &metrics{
		pushes: counter("pushes_total", "Responses sent to proxies.", "type"),
		nacks:  counter("nacks_total", "Responses that proxies refused in part.", "type"),
		ended:  counter("streams_ended_total", "Streams that ended other than by the client's leave.", "code"),
		bytes: prometheus.NewCounter(prometheus.CounterOpts{
			Namespace: "usher", Subsystem: "xds", Name: "pushed_bytes_total", Help: "Bytes of resources sent to proxies.",
		}),
		refusedSecrets: prometheus.NewCounter(prometheus.CounterOpts{
			Namespace: "usher", Subsystem: "xds", Name: "refused_secrets_total", Help: "Secrets asked for by proxies that may not have them.",
		}),
		answers: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: "usher", Subsystem: "xds", Name: "answer_seconds", Help: "From a response to its ACK or NACK.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 5},
		}, []string{"type"}),
		connected: prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Namespace: "usher", Subsystem: "xds", Name: "proxies", Help: "Connected proxies.",
		}, func() float64 {
			n := 0
			s.each(func(*stream, *progress) { n++ })
			return float64(n)
		}),
	}
}

// Collectors are the server's metrics.
func (s *Server) Collectors() []prometheus.Collector {
	m := s.metrics
	return []prometheus.Collector{m.pushes, m.nacks, m.ended, m.bytes, m.refusedSecrets, m.answers, m.connected}
}
