package hcm

import (
	"time"

	"github.com/usher-mesh/usher/internal/proxy/counters"
	"github.com/usher-mesh/usher/internal/proxy/upstream"
)

// stats are Envoy's statistics of a connection manager.
type stats struct {
	CxTotal       counters.Counter   `stat:"downstream_cx_total"`
	CxActive      counters.Gauge     `stat:"downstream_cx_active"`
	CxHTTP1Total  counters.Counter   `stat:"downstream_cx_http1_total"`
	CxHTTP1Active counters.Gauge     `stat:"downstream_cx_http1_active"`
	CxHTTP2Total  counters.Counter   `stat:"downstream_cx_http2_total"`
	CxHTTP2Active counters.Gauge     `stat:"downstream_cx_http2_active"`
	CxSSLTotal    counters.Counter   `stat:"downstream_cx_ssl_total"`
	CxSSLActive   counters.Gauge     `stat:"downstream_cx_ssl_active"`
	CxDestroy     counters.Counter   `stat:"downstream_cx_destroy"`
	CxLength      counters.Histogram `stat:"downstream_cx_length_ms"`
	CxProtocol    counters.Counter   `stat:"downstream_cx_protocol_error"`
	CxReceived    counters.Counter   `stat:"downstream_cx_rx_bytes_total"`
	CxSent        counters.Counter   `stat:"downstream_cx_tx_bytes_total"`
	RqTotal       counters.Counter   `stat:"downstream_rq_total"`
	RqActive      counters.Gauge     `stat:"downstream_rq_active"`
	RqHTTP1       counters.Counter   `stat:"downstream_rq_http1_total"`
	RqHTTP2       counters.Counter   `stat:"downstream_rq_http2_total"`
	Rq            counters.Classes   `stat:"downstream_rq_"`
	RqTime        counters.Histogram `stat:"downstream_rq_time"`
	RqTimeout     counters.Counter   `stat:"downstream_rq_timeout"`
	RqHeader      counters.Counter   `stat:"downstream_rq_header_timeout"`
	RqIdle        counters.Counter   `stat:"downstream_rq_idle_timeout"`
	RqMax         counters.Counter   `stat:"downstream_rq_max_duration_reached"`
	RqReset       counters.Counter   `stat:"downstream_rq_rx_reset"`
	Routed        counters.Counter   `stat:"rq_total"`
	Direct        counters.Counter   `stat:"rq_direct_response"`
	NoRoute       counters.Counter   `stat:"no_route"`
	NoCluster     counters.Counter   `stat:"no_cluster"`
}

// ofListener are those of a manager that a listener has besides.
type ofListener struct {
	Rq counters.Classes `stat:"downstream_rq_"`
}

// hold takes the manager's statistics, which other managers of the name share, until Close.
func (m *Manager) hold() {
	set, scope := m.o.Counters, counters.ListenerHTTP(m.o.StatAddress)
	set.Hold(counters.HTTP, m.statPrefix)
	set.Hold(scope, m.statPrefix)
	m.stats, m.ofListener = counters.Group[stats](set, counters.HTTP, m.statPrefix), counters.Group[ofListener](set, scope, m.statPrefix)
}

func (m *Manager) release() {
	m.o.Counters.Release(counters.HTTP, m.statPrefix)
	m.o.Counters.Release(counters.ListenerHTTP(m.o.StatAddress), m.statPrefix)
}

// opened counts a connection, which closed ends.
func (t *stats) opened(tls bool) (closed func()) {
	began := time.Now()
	t.CxTotal.Inc()
	t.CxActive.Add(1)
	if tls {
		t.CxSSLTotal.Inc()
		t.CxSSLActive.Add(1)
	}
	return func() {
		t.CxActive.Add(-1)
		if tls {
			t.CxSSLActive.Add(-1)
		}
		t.CxDestroy.Inc()
		t.CxLength.Observe(float64(time.Since(began).Milliseconds()))
	}
}

// countBegun counts a request.
func (s *session) countBegun() {
	t := s.m.stats
	t.RqTotal.Inc()
	t.RqActive.Add(1)
	s.counted = true
	if s.r == nil {
		t.RqHTTP2.Inc()
	} else {
		t.RqHTTP1.Inc()
	}
}

// uncount ends a request that is under way.
func (s *session) uncount() {
	if s.counted {
		s.counted = false
		s.m.stats.RqActive.Add(-1)
	}
}

// countEnded counts a request that has ended, by its answer and what befell it.
func (s *session) countEnded() {
	x, t := s.x, s.m.stats
	s.uncount()
	t.Rq.Inc(x.Response.Status)
	s.m.ofListener.Rq.Inc(x.Response.Status)
	took := float64(x.Ended.Sub(x.Start).Milliseconds())
	t.RqTime.Observe(took)
	switch x.Details {
	case "request_overall_timeout":
		t.RqTimeout.Inc()
	case "request_header_timeout":
		t.RqHeader.Inc()
	case "stream_idle_timeout":
		t.RqIdle.Inc()
	case "max_duration_timeout":
		t.RqMax.Inc()
	case "direct_response": // redirects, too, as in Envoy
		t.Direct.Inc()
	}
	switch x.Flags {
	case "DPE":
		t.CxProtocol.Inc()
		t.RqReset.Inc()
	case "NR":
		t.NoRoute.Inc()
	case "NC":
		t.NoCluster.Inc()
	case "DC":
		t.RqReset.Inc()
	}
	if s.to != nil && x.Details == "via_upstream" {
		s.to.Counts.RqTime.Observe(took)
	}
}

// countLate counts an answer whose content did not come in time.
func (s *session) countLate(host *upstream.Host, what *broken) {
	switch what {
	case errTimeout:
		s.to.Counts.RqTimeout.Inc()
		host.Counts.RqTimeout.Add(1)
	case errPerTryIdle:
		s.to.Counts.RqPerTryIdle.Inc()
		host.Counts.RqTimeout.Add(1)
		host.TimedOut()
	}
}

// countUnanswered counts a request on a connection that got no answer.
func (s *session) countUnanswered(host *upstream.Host, err error) {
	c := s.to.Counts
	switch err {
	case errClient:
		return
	case errTimeout:
		c.RqTimeout.Inc()
	case errPerTry:
		c.RqPerTry.Inc()
	case errPerTryIdle:
		c.RqPerTryIdle.Inc()
	case errReset, errRefused:
		c.RqRxReset.Inc()
	case errProtocol:
		c.CxProtocol.Inc()
	case errMaxStream:
		c.RqMax.Inc()
	}
	host.Counts.Failed(err == errTimeout || err == errPerTry || err == errPerTryIdle)
}
