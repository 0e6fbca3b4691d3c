package listener

import (
	"strings"
	"time"

	"github.com/usher-mesh/usher/internal/proxy/counters"
)

// stats are Envoy's statistics of a listener.
type stats struct {
	CxTotal      counters.Counter   `stat:"downstream_cx_total"`
	CxActive     counters.Gauge     `stat:"downstream_cx_active"`
	CxDestroy    counters.Counter   `stat:"downstream_cx_destroy"`
	CxLength     counters.Histogram `stat:"downstream_cx_length_ms"`
	CxOverflow   counters.Counter   `stat:"downstream_cx_overflow"`
	GateOverflow counters.Counter   `stat:"downstream_global_cx_overflow"`
	PreTimeout   counters.Counter   `stat:"downstream_pre_cx_timeout"`
	ShakeTimeout counters.Counter   `stat:"downstream_cx_transport_socket_connect_timeout"`
	NoChain      counters.Counter   `stat:"no_filter_chain_match"`
}

// tlsStats are those of a listener with TLS besides.
type tlsStats struct {
	Handshake     counters.Counter `stat:"ssl.handshake"`
	Error         counters.Counter `stat:"ssl.connection_error"`
	NoCertificate counters.Counter `stat:"ssl.no_certificate"`
	Resumed       counters.Counter `stat:"ssl.session_reused"`
}

// statName is what a listener's statistics are called by: its stat_prefix, or address.
func statName(prefix, address string) string {
	if prefix != "" {
		return prefix
	}
	return strings.ReplaceAll(address, ":", "_")
}

// opened counts a connection, which closed ends.
func (t *stats) opened() (closed func()) {
	began := time.Now()
	t.CxTotal.Inc()
	t.CxActive.Add(1)
	return func() {
		t.CxActive.Add(-1)
		t.CxDestroy.Inc()
		t.CxLength.Observe(float64(time.Since(began).Milliseconds()))
	}
}
