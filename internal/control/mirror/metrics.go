package mirror

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/usher-mesh/usher/internal/jwks"
)

// newSeconds counts how long fetches take, by how they end: "ok" or a jwks.Reason.
func newSeconds() *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Namespace: "usher", Subsystem: "jwks", Name: "fetch_seconds", Help: "How long fetches of key sets take, by how they end.",
		Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
	}, []string{"result"})
}

func (m *Mirror) observe(took time.Duration, failure jwks.Reason) {
	result := string(failure)
	if failure == "" {
		result = "ok"
	}
	m.seconds.WithLabelValues(result).Observe(took.Seconds())
}

// states shows every key set as it is when metrics are read.
type states struct{ m *Mirror }

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("usher_jwks_"+name, help, append([]string{"uri"}, labels...), nil)
}

var (
	keysDesc    = desc("keys", "Keys in force; 0: tokens are refused.")
	ageDesc     = desc("age_seconds", "Time since the issuer last confirmed the keys.")
	skippedDesc = desc("warnings", "Keys that are not used, or should not be published.")
	fetchesDesc = desc("fetches_total", "Fetches.")
	failureDesc = desc("fetch_failures_total", "Fetches that failed.", "reason")
)

// Describe is a part of prometheus.Collector.
func (states) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{keysDesc, ageDesc, skippedDesc, fetchesDesc, failureDesc} {
		to <- d
	}
}

// Collect is a part of prometheus.Collector.
func (s states) Collect(to chan<- prometheus.Metric) {
	for _, st := range s.m.States() {
		uri := jwks.Shown(st.URI)
		send := func(d *prometheus.Desc, kind prometheus.ValueType, v float64, labels ...string) {
			to <- prometheus.MustNewConstMetric(d, kind, v, append([]string{uri}, labels...)...)
		}
		send(keysDesc, prometheus.GaugeValue, float64(st.Keys))
		send(skippedDesc, prometheus.GaugeValue, float64(len(st.Warnings)))
		send(fetchesDesc, prometheus.CounterValue, float64(st.Fetches))
		if !st.Fetched.IsZero() {
			send(ageDesc, prometheus.GaugeValue, s.m.o.Now().Sub(st.Fetched).Seconds())
		}
		for why, n := range st.Failures {
			send(failureDesc, prometheus.CounterValue, float64(n), string(why))
		}
	}
}

// Collectors are the mirror's metrics.
func (m *Mirror) Collectors() []prometheus.Collector {
	return []prometheus.Collector{m.seconds, states{m}}
}
