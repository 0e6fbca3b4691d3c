package hcm

import (
	"errors"
	"strconv"
	"time"

	"github.com/usher-mesh/usher/internal/proxy/match"
	"github.com/usher-mesh/usher/internal/proxy/upstream"
)

// Outlier detection hears what befalls requests as Envoy's router tells it.

// reportUnconnected tells that no connection could be had. That none was there when the
// request's time was over, or that there are too many, is not the host's fault.
func reportUnconnected(host *upstream.Host, err error, l *limits) {
	var c *upstream.ConnectError
	if !host.Monitored() || !errors.As(err, &c) || !l.total.IsZero() && !time.Now().Before(l.total) {
		return
	}
	host.Failed()
}

// reportUnanswered tells that a request on a connection has got no answer.
func reportUnanswered(host *upstream.Host, err error) {
	switch err {
	case errTimeout, errPerTry, errPerTryIdle:
		host.TimedOut()
	case errTerminated, errProtocol, errReset, errRefused:
		host.Failed()
	}
}

// reportAnswer tells the answer's status: gRPC's if the head has one.
func (s *session) reportAnswer(host *upstream.Host) {
	if !host.Monitored() {
		return
	}
	x := s.x
	status := x.Response.Status
	if v, ok := x.Response.Header.Lookup("grpc-status"); ok && match.GRPC(x) {
		if code, err := strconv.ParseUint(v, 10, 32); err == nil {
			status = statusOfGRPC(code)
		}
	}
	_, degraded := x.Response.Header.Lookup("x-envoy-degraded")
	host.Answered(status, degraded)
	if _, fails := x.Response.Header.Lookup("x-envoy-immediate-health-check-fail"); fails {
		host.FailHealth()
	}
}

// statusOfGRPC gives the status of HTTP that Envoy takes a code of gRPC for.
func statusOfGRPC(code uint64) int {
	of := [...]int{200, 499, 500, 400, 504, 404, 409, 403, 429, 400, 409, 400, 501, 500, 503, 500, 401}
	if code >= uint64(len(of)) {
		return 500
	}
	return of[code]
}
