package upstream

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/grpc/codes"
	health "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/match"
)

// httpProbe asks by HTTP.
type httpProbe struct {
	host, path, method  string
	major               int
	body                []byte
	receive             [][]byte
	buffer              int64 // bytes of content that are looked at; 0: all
	expected, retriable []statuses
	service             match.String // of the answer's x-envoy-upstream-healthchecked-cluster; nil: any
	add                 []checkField
	remove              []string
}

// statuses is a range, its end not in it.
type statuses struct{ from, to int64 }

// checkField is a field that a check's request has.
type checkField struct {
	name, value string
	action      corev3.HeaderValueOption_HeaderAppendAction
}

func (p *httpProbe) check(ctx context.Context, s *session) finding {
	rq := &exchange.Request{Method: p.method, Path: p.path, Authority: s.authority(p.host), ProtoMajor: p.major, ProtoMinor: 2 - p.major}
	rq.Header.Add("user-agent", "Envoy/HC")
	apply(&rq.Header, p.remove, p.add)
	a, err := s.call(ctx, rq, p.body, p.content)
	if err != nil {
		return unanswered(ctx, err)
	}
	f := finding{as: failedNow}
	_, now := a.Header.Lookup("x-envoy-immediate-health-check-fail")
	switch {
	case !found(p.receive, a.Body):
		f.excludes = now
	case !within(p.expected, a.Status):
		f.excludes = now
		if within(p.retriable, a.Status) {
			f.as = failedRetriable
		}
	default:
		if p.service != nil {
			s.k.counts.verify.Add(1)
			if !p.service(a.Header.Get("x-envoy-upstream-healthchecked-cluster")) {
				return f
			}
		}
		f.as = passed
		if _, degraded := a.Header.Lookup("x-envoy-degraded"); degraded {
			f.as = passedDegraded
		}
	}
	return f
}

// content keeps what is looked at, and reads the rest away.
func (p *httpProbe) content(r io.Reader) (b []byte, err error) {
	if len(p.receive) > 0 {
		most := p.buffer
		if most == 0 {
			most = maxCheck
		}
		if b, err = io.ReadAll(io.LimitReader(r, most)); err != nil {
			return nil, err
		}
	}
	_, err = io.Copy(io.Discard, r)
	return b, err
}

// maxCheck bounds what of an answer to a check is kept.
const maxCheck = 1 << 20

// authority is that of the endpoint, of the check, or the cluster's name.
func (s *session) authority(host string) string {
	switch {
	case s.host.key.checkName != "":
		return s.host.key.checkName
	case host != "":
		return host
	}
	return s.k.c.Name
}

// call sends a request to the host, once more if a connection was dead.
func (s *session) call(ctx context.Context, rq *exchange.Request, body []byte, read func(io.Reader) ([]byte, error)) (*Answer, error) {
	rq.ContentLength = int64(len(body))
	a, why, err := s.via.call(ctx, rq, body, read, false)
	if why != never {
		a, _, err = s.via.call(ctx, rq, body, read, true)
	}
	return a, err
}

func apply(h *exchange.Header, remove []string, add []checkField) {
	for _, f := range add {
		_, has := h.Lookup(f.name)
		switch f.action {
		case corev3.HeaderValueOption_ADD_IF_ABSENT:
			if !has {
				h.Add(f.name, f.value)
			}
		case corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD:
			h.Set(f.name, f.value)
		case corev3.HeaderValueOption_OVERWRITE_IF_EXISTS:
			if has {
				h.Set(f.name, f.value)
			}
		default:
			h.Add(f.name, f.value)
		}
	}
	for _, name := range remove {
		h.Del(name)
	}
}

func within(ranges []statuses, status int) bool {
	return slices.ContainsFunc(ranges, func(r statuses) bool { return r.from <= int64(status) && int64(status) < r.to })
}

// found tells whether all parts are in b, one after another.
func found(parts [][]byte, b []byte) bool {
	for _, p := range parts {
		i := bytes.Index(b, p)
		if i < 0 {
			return false
		}
		b = b[i+len(p):]
	}
	return true
}

// unanswered tells what it means that there was no answer.
func unanswered(ctx context.Context, err error) finding {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return finding{as: failedTimeout}
	}
	return finding{as: failedNetwork}
}

// grpcProbe calls grpc.health.v1.Health.
type grpcProbe struct {
	service, authority string
	add                []checkField
}

func (p *grpcProbe) check(ctx context.Context, s *session) finding {
	u := Unary{Path: "/grpc.health.v1.Health/Check", Authority: s.authority(p.authority), Timeout: s.k.timeout}
	rq, message, err := u.request(&health.HealthCheckRequest{Service: p.service})
	if err != nil {
		return finding{as: failedNow}
	}
	rq.Header.Add("user-agent", "Envoy/HC")
	apply(&rq.Header, nil, p.add)
	a, err := s.call(ctx, rq, message, atMost(maxCheck))
	if err != nil && !errors.Is(err, ErrTooLarge) {
		return unanswered(ctx, err)
	}
	var rs health.HealthCheckResponse
	if err == nil {
		err = a.message(&rs)
	}
	if status.Code(err) != codes.OK || rs.GetStatus() != health.HealthCheckResponse_SERVING {
		return finding{as: failedNow}
	}
	return finding{as: passed}
}

// tcpProbe connects, and sends and waits for bytes.
type tcpProbe struct {
	send    []byte
	receive [][]byte
}

func (p *tcpProbe) check(ctx context.Context, s *session) finding {
	if s.nc == nil {
		nc, err := s.via.Dial(ctx)
		if err != nil {
			return unanswered(ctx, err)
		}
		s.nc = nc
	}
	// Without bytes to wait for only connecting counts; what is sent then may never be.
	if len(p.receive) == 0 {
		s.drop()
		return finding{as: passed}
	}
	nc := s.nc
	stop := context.AfterFunc(ctx, func() { nc.SetDeadline(time.Unix(1, 0)) })
	err := p.exchange(nc)
	if !stop() || err != nil {
		s.drop()
	}
	if err != nil {
		return unanswered(ctx, err)
	}
	if !s.k.reuse {
		s.drop()
	}
	return finding{as: passed}
}

func (s *session) drop() {
	if s.nc != nil {
		s.nc.Close()
		s.nc = nil
	}
}

func (p *tcpProbe) exchange(nc net.Conn) error {
	if len(p.send) > 0 {
		if _, err := nc.Write(p.send); err != nil {
			return err
		}
	}
	var got []byte
	b := make([]byte, 4096)
	for len(got) < maxCheck {
		n, err := nc.Read(b)
		got = append(got, b[:n]...)
		if found(p.receive, got) {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return errors.New("more than a check looks at")
}
