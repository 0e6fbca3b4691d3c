package fault

import (
	"strconv"
	"strings"
	"time"

	commonv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/common/fault/v3"
	faultv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/fault/v3"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/filter"
	"github.com/usher-mesh/usher/internal/proxy/match"
	"github.com/usher-mesh/usher/internal/proxy/strict"
)

// settings are a compiled HTTPFault.
type settings struct {
	delay    delay
	abort    abort
	rate     rate
	body     string
	cluster  string // "": any
	nodes    map[string]bool
	headers  []*match.Header
	most     int64 // active faults; negative: any number
	metadata filter.Metadata
}

// delay is a compiled FaultDelay; the zero value never hits.
type delay struct {
	share    match.Fraction
	fixed    time.Duration
	byHeader bool
}

// abort is a compiled FaultAbort; the zero value never hits.
type abort struct {
	share    match.Fraction
	status   int
	grpc     int // negative: by the HTTP status
	byHeader bool
}

// compile compiles a HTTPFault. Names of runtime keys have no effect: there is no
// runtime that could hold one. The counters that Envoy names after the client's
// x-envoy-downstream-service-cluster are not kept, since a client could make any
// number of them; disable_downstream_cluster_stats switches them off in Envoy.
func compile(m *faultv3.HTTPFault) (*settings, error) {
	if err := strict.Only(m, "delay", "abort", "response_rate_limit", "upstream_cluster", "headers", "downstream_nodes", "max_active_faults", "delay_percent_runtime",
		"abort_percent_runtime", "delay_duration_runtime", "abort_http_status_runtime", "max_active_faults_runtime",
		"response_rate_limit_percent_runtime", "abort_grpc_status_runtime", "disable_downstream_cluster_stats", "filter_metadata"); err != nil {
		return nil, err
	}
	s := &settings{cluster: m.GetUpstreamCluster(), most: -1, body: m.GetAbort().GetResponseBody()}
	if s.body == "" {
		s.body = "fault filter abort"
	}
	if n := m.GetMaxActiveFaults(); n != nil {
		s.most = int64(n.GetValue())
	}
	var err error
	if s.delay, err = compileDelay(m.GetDelay()); err != nil {
		return nil, strict.At("delay", err)
	}
	if s.abort, err = compileAbort(m.GetAbort()); err != nil {
		return nil, strict.At("abort", err)
	}
	if s.rate, err = compileRate(m.GetResponseRateLimit()); err != nil {
		return nil, strict.At("response_rate_limit", err)
	}
	for i, h := range m.GetHeaders() {
		c, err := match.CompileHeader(h)
		if err != nil {
			return nil, strict.AtIndex("headers", i, err)
		}
		s.headers = append(s.headers, c)
	}
	for _, n := range m.GetDownstreamNodes() {
		if s.nodes == nil {
			s.nodes = map[string]bool{}
		}
		s.nodes[n] = n != "" // an absent header is no node
	}
	s.metadata, err = filter.CompileMetadata(m.GetFilterMetadata())
	return s, strict.At("filter_metadata", err)
}

func compileDelay(m *commonv3.FaultDelay) (d delay, err error) {
	if m == nil {
		return d, nil
	}
	if err := strict.Only(m, "fixed_delay", "header_delay", "percentage"); err != nil {
		return d, err
	}
	switch k := m.GetFaultDelaySecifier().(type) {
	case *commonv3.FaultDelay_FixedDelay:
		if d.fixed = k.FixedDelay.AsDuration(); k.FixedDelay.CheckValid() != nil || d.fixed <= 0 {
			return d, strict.Errorf("fixed_delay", "must be above 0")
		}
		d.fixed = d.fixed.Truncate(time.Millisecond)
	case *commonv3.FaultDelay_HeaderDelay_:
		d.byHeader = true
	default:
		return d, strict.Errorf("fault_delay_secifier", "missing")
	}
	d.share, err = match.CompileFraction(m.GetPercentage())
	return d, strict.At("percentage", err)
}

func compileAbort(m *faultv3.FaultAbort) (a abort, err error) {
	if m == nil {
		return a, nil
	}
	if err := strict.Only(m, "http_status", "grpc_status", "header_abort", "percentage", "response_body"); err != nil {
		return a, err
	}
	a.grpc = -1
	switch k := m.GetErrorType().(type) {
	case *faultv3.FaultAbort_HttpStatus:
		if a.status = int(k.HttpStatus); k.HttpStatus < 200 || k.HttpStatus > 599 {
			return a, strict.Errorf("http_status", "%d is not from 200 to 599", k.HttpStatus)
		}
	case *faultv3.FaultAbort_GrpcStatus:
		a.status, a.grpc = 200, int(k.GrpcStatus)
	case *faultv3.FaultAbort_HeaderAbort_:
		a.byHeader = true
	default:
		return a, strict.Errorf("error_type", "missing")
	}
	a.share, err = match.CompileFraction(m.GetPercentage())
	return a, strict.At("percentage", err)
}

// rate is a compiled FaultRateLimit; the zero value never hits.
type rate struct {
	share    match.Fraction
	fixed    uint64 // KiB a second
	byHeader bool
}

// maxRate bounds what a rate may be, in KiB a second; faster is no limit.
const maxRate = 1 << 32

func compileRate(m *commonv3.FaultRateLimit) (r rate, err error) {
	if m == nil {
		return r, nil
	}
	if err := strict.Only(m, "fixed_limit", "header_limit", "percentage"); err != nil {
		return r, err
	}
	switch k := m.GetLimitType().(type) {
	case *commonv3.FaultRateLimit_FixedLimit_:
		if r.fixed = min(k.FixedLimit.GetLimitKbps(), maxRate); r.fixed == 0 {
			return r, strict.Errorf("fixed_limit.limit_kbps", "must be above 0")
		}
	case *commonv3.FaultRateLimit_HeaderLimit_:
		r.byHeader = true
	default:
		return r, strict.Errorf("limit_type", "missing")
	}
	r.share, err = match.CompileFraction(m.GetPercentage())
	return r, strict.At("percentage", err)
}

// of gives the rate of the answer, 0 for any.
func (r *rate) of(h *exchange.Header) uint64 {
	if !r.byHeader {
		if r.share.Hit() {
			return r.fixed
		}
		return 0
	}
	n, ok := number(h, "x-envoy-fault-throughput-response", 64)
	if !ok || !lowered(r.share, h, "x-envoy-fault-throughput-response-percentage").Hit() {
		return 0
	}
	return min(n, maxRate)
}

// of gives how long a request is held up, 0 for not at all.
func (d *delay) of(h *exchange.Header) time.Duration {
	if !d.byHeader {
		if d.share.Hit() {
			return d.fixed
		}
		return 0
	}
	ms, ok := number(h, "x-envoy-fault-delay-request", 64)
	if !ok || !lowered(d.share, h, "x-envoy-fault-delay-request-percentage").Hit() {
		return 0
	}
	return time.Duration(min(ms, uint64(maxDelay/time.Millisecond))) * time.Millisecond
}

// of gives the statuses that a request is answered with; grpc is negative if the HTTP
// status says it.
func (a *abort) of(h *exchange.Header) (status, grpc int, ok bool) {
	if !a.byHeader {
		return a.status, a.grpc, a.share.Hit()
	}
	if !lowered(a.share, h, "x-envoy-fault-abort-request-percentage").Hit() {
		return 0, 0, false
	}
	if n, ok := number(h, "x-envoy-fault-abort-request", 64); ok && n >= 200 && n < 600 {
		return int(n), -1, true
	}
	n, ok := number(h, "x-envoy-fault-abort-grpc-request", 31)
	return 200, int(n), ok
}

// lowered lets a header lower a share.
func lowered(f match.Fraction, h *exchange.Header, name string) match.Fraction {
	if n, ok := number(h, name, 32); ok {
		return f.AtMost(uint32(n))
	}
	return f
}

// number reads the first field of the name; one that is no number of so many bits is
// as none.
func number(h *exchange.Header, name string, bits int) (uint64, bool) {
	n, err := strconv.ParseUint(strings.TrimPrefix(h.Get(name), "+"), 10, bits)
	return n, err == nil
}
