package hcm

import (
	"errors"
	"time"

	"github.com/usher-mesh/usher/internal/proxy/route"
	"github.com/usher-mesh/usher/internal/proxy/upstream"
)

var noDeadline time.Time

// broken is an upstream connection that failed before the answer's head.
type broken struct {
	reason string // Envoy's text
	detail string
	flags  string
	status int
}

func (b *broken) Error() string { return b.reason }

var (
	errTerminated = &broken{"connection termination", "upstream_reset_before_response_started{connection_termination}", "UC", 503}
	errProtocol   = &broken{"protocol error", "upstream_reset_before_response_started{protocol_error}", "UPE", 502}
	errReset      = &broken{"remote reset", "upstream_reset_before_response_started{remote_reset}", "UR", 503}
	errRefused    = &broken{"remote refused stream reset", "upstream_reset_before_response_started{remote_refused_stream_reset}", "UR", 503}
	errTimeout    = &broken{"", "response_timeout", "UT", 504}
	errPerTry     = &broken{"", "upstream_per_try_timeout", "UT", 504}
	errPerTryIdle = &broken{"", "upstream_per_try_idle_timeout", "UT", 504}
	errStreamIdle = &broken{"", "stream_idle_timeout", "SI", 504}
	// errRequestIdle is errStreamIdle before the request was whole.
	errRequestIdle = &broken{"", "stream_idle_timeout", "SI", 408}
	errMaxStream   = &broken{"", "max_duration_timeout", "UMSDR", 504}
	// errClient is a client that went away or broke its body: nobody to answer.
	errClient = errors.New("client")
)

// fail makes the reply to a request that no upstream answered.
func (s *session) fail(r *route.Route, err error) {
	x := s.x
	const text = "upstream connect error or disconnect/reset before headers. "
	prefix := text + "reset reason: "
	if s.x.Attempts > 1 {
		prefix = text + "retried and the latest reset reason: "
	}
	var b *broken
	var c *upstream.ConnectError
	switch {
	case errors.Is(err, upstream.ErrForbidden):
		x.Flags = "UF"
		x.Reply(403, "destination not allowed", "destination_not_allowed")
	case errors.Is(err, upstream.ErrNoHealthy):
		x.Flags = "UH"
		x.Reply(503, "no healthy upstream", "no_healthy_upstream")
	case errors.Is(err, upstream.ErrOverflow):
		x.Flags = "UO"
		x.Reply(503, prefix+"overflow", "upstream_reset_before_response_started{overflow}")
		if !s.m.suppressHeaders {
			x.Response.Header.Add("x-envoy-overloaded", "true")
		}
	case errors.As(err, &b):
		x.Flags = b.flags
		body, status := prefix+b.reason, b.status
		switch b {
		case errTimeout, errPerTry, errPerTryIdle:
			if body = "upstream request timeout"; s.emptyTimeout {
				body, status = "", 204
			}
		case errStreamIdle, errRequestIdle:
			body = "stream timeout"
		case errMaxStream:
			body = "downstream duration timeout"
		}
		x.Reply(status, body, b.detail)
	case errors.As(err, &c):
		x.Flags = "UF"
		reason, detail := "remote connection failure", "remote_connection_failure"
		if c.Timeout {
			reason, detail = "connection timeout", "connection_timeout"
		}
		s.x.Failure = failure(c)
		x.Reply(503, prefix+reason, "upstream_reset_before_response_started{"+detail+"}")
	default:
		x.Flags = "UF"
		x.Reply(503, prefix+"remote connection failure", "upstream_reset_before_response_started{remote_connection_failure}")
	}
}

// failure says why a connection could not be made, for the log.
func failure(c *upstream.ConnectError) string {
	switch {
	case c.TLS:
		return "TLS_error: " + c.Err.Error()
	case c.Timeout:
		return "timeout"
	case upstream.Refused(c.Err):
		return "delayed_connect_error:_Connection_refused"
	}
	return "delayed_connect_error"
}

func (s *session) cluster(name string) *upstream.Cluster {
	if s.snap == nil {
		return nil
	}
	return s.snap.Clusters[name]
}
