package upstream

//lint:file-ignore SA1019 Envoy still reads the fields that it has deprecated, and control planes send them.

import (
	"encoding/hex"
	"net/http"
	"strings"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/usher-mesh/usher/internal/proxy/match"
	"github.com/usher-mesh/usher/internal/proxy/strict"
)

// checks compiles health_checks, of which one is supported.
func (c *Cluster) checks(m *clusterv3.Cluster) error {
	switch list := m.GetHealthChecks(); {
	case len(list) == 0:
		return nil
	case len(list) > 1:
		return strict.AtIndex("health_checks", 1, strict.ErrUnsupported)
	case m.GetClusterType() != nil:
		return strict.Errorf("health_checks", "of a dynamic_forward_proxy: %w", strict.ErrUnsupported)
	default:
		return strict.AtIndex("health_checks", 0, c.check(list[0]))
	}
}

func (c *Cluster) check(m *corev3.HealthCheck) error {
	// Where events go to no log, as here, always_log_* have no effect in Envoy either.
	if err := strict.Only(m, "name", "timeout", "interval", "initial_jitter", "interval_jitter", "interval_jitter_percent",
		"unhealthy_threshold", "healthy_threshold", "reuse_connection", "http_health_check", "tcp_health_check", "grpc_health_check",
		"no_traffic_interval", "no_traffic_healthy_interval", "unhealthy_interval", "unhealthy_edge_interval", "healthy_edge_interval",
		"always_log_health_check_failures", "always_log_health_check_success", "tls_options"); err != nil {
		return err
	}
	k := &checker{c: c, sessions: map[*Host]*session{}, jitterPercent: m.GetIntervalJitterPercent(),
		reuse: m.GetReuseConnection() == nil || m.GetReuseConnection().GetValue()}
	if m.GetTimeout() == nil || m.GetInterval() == nil || m.GetUnhealthyThreshold() == nil || m.GetHealthyThreshold() == nil {
		return strict.Errorf("", "timeout, interval, unhealthy_threshold and healthy_threshold are required")
	}
	k.healthyThreshold, k.failThreshold = m.GetHealthyThreshold().GetValue(), m.GetUnhealthyThreshold().GetValue()
	for _, f := range []struct {
		name  string
		v     *durationpb.Duration
		or    func() time.Duration
		to    *time.Duration
		above bool
	}{
		{"timeout", m.GetTimeout(), nil, &k.timeout, true},
		{"interval", m.GetInterval(), nil, &k.interval, true},
		{"initial_jitter", m.GetInitialJitter(), nil, &k.initialJitter, false},
		{"interval_jitter", m.GetIntervalJitter(), nil, &k.jitter, false},
		{"no_traffic_interval", m.GetNoTrafficInterval(), func() time.Duration { return time.Minute }, &k.idle, true},
		{"no_traffic_healthy_interval", m.GetNoTrafficHealthyInterval(), func() time.Duration { return k.idle }, &k.idleHealthy, true},
		{"unhealthy_interval", m.GetUnhealthyInterval(), func() time.Duration { return k.interval }, &k.unhealthy, true},
		{"unhealthy_edge_interval", m.GetUnhealthyEdgeInterval(), func() time.Duration { return k.unhealthy }, &k.unhealthyEdge, true},
		{"healthy_edge_interval", m.GetHealthyEdgeInterval(), func() time.Duration { return k.interval }, &k.healthyEdge, true},
	} {
		otherwise := time.Duration(0)
		if f.or != nil {
			otherwise = f.or()
		}
		read := notNegative
		if f.above {
			read = above0
		}
		var err error
		if *f.to, err = read(f.name, f.v, otherwise); err != nil {
			return err
		}
	}
	if err := strict.Only(m.GetTlsOptions(), "alpn_protocols"); err != nil {
		return strict.At("tls_options", err)
	}
	k.via = &Cluster{Name: c.Name, Counts: new(Counts), opts: Options{Log: c.opts.Log, Now: c.opts.Now, HTTP2: nil}, connectTimeout: maxDuration, idleTimeout: maxDuration,
		socket: c.socket, proxied: c.proxied, matches: c.matches, bind: c.bind, http2: c.http2, alpn: m.GetTlsOptions().GetAlpnProtocols()}
	k.via.breakers[Default].unbound()
	if c.speaks == onlyHTTP1 { // what checks speak is another matter
		if err := k.via.http2Options(&corev3.Http2ProtocolOptions{}); err != nil {
			return err
		}
	}
	if err := k.kind(m); err != nil {
		return err
	}
	prefix := "health_check."
	if m.GetName() != "" {
		prefix += "name." + m.GetName() + "."
	}
	n := &k.counts
	n.attempt, n.success, n.failure = c.counter(prefix+"attempt", false), c.counter(prefix+"success", false), c.counter(prefix+"failure", false)
	n.network, n.passive = c.counter(prefix+"network_failure", false), c.counter(prefix+"passive_failure", false)
	n.verify = c.counter(prefix+"verify_cluster", false)
	n.healthy, n.degraded = c.counter(prefix+"healthy", true), c.counter(prefix+"degraded", true)
	c.checker = k
	return nil
}

// kind compiles the one of the kinds of checks that is set.
func (k *checker) kind(m *corev3.HealthCheck) (err error) {
	switch {
	case m.GetHttpHealthCheck() != nil:
		k.via.speaks = onlyHTTP1
		if m.GetHttpHealthCheck().GetCodecClientType() == typev3.CodecClientType_HTTP2 {
			k.via.speaks = onlyHTTP2
		}
		k.probe, err = compileHTTP(m.GetHttpHealthCheck())
		return strict.At("http_health_check", err)
	case m.GetGrpcHealthCheck() != nil:
		if k.c.speaks == onlyHTTP1 {
			return strict.Errorf("grpc_health_check", "the cluster does not speak HTTP/2")
		}
		k.via.speaks = onlyHTTP2
		g := m.GetGrpcHealthCheck()
		if err := strict.Only(g, "service_name", "authority", "initial_metadata"); err != nil {
			return strict.At("grpc_health_check", err)
		}
		p := &grpcProbe{service: g.GetServiceName(), authority: g.GetAuthority()}
		p.add, err = checkFields(g.GetInitialMetadata())
		k.probe = p
		return strict.At("grpc_health_check.initial_metadata", err)
	case m.GetTcpHealthCheck() != nil:
		t := m.GetTcpHealthCheck()
		if err := strict.Only(t, "send", "receive"); err != nil {
			return strict.At("tcp_health_check", err)
		}
		p := &tcpProbe{}
		if t.GetSend() != nil {
			if p.send, err = payload(t.GetSend()); err != nil {
				return strict.At("tcp_health_check.send", err)
			}
		}
		p.receive, err = payloads(t.GetReceive())
		k.probe = p
		return strict.At("tcp_health_check.receive", err)
	}
	return strict.Errorf("health_checker", "none of http_health_check, tcp_health_check, grpc_health_check")
}

func compileHTTP(m *corev3.HealthCheck_HttpHealthCheck) (*httpProbe, error) {
	if err := strict.Only(m, "host", "path", "send", "receive", "response_buffer_size", "request_headers_to_add", "request_headers_to_remove",
		"expected_statuses", "retriable_statuses", "codec_client_type", "service_name_matcher", "method"); err != nil {
		return nil, err
	}
	p := &httpProbe{host: m.GetHost(), path: m.GetPath(), method: http.MethodGet, major: 1, buffer: 1024}
	switch m.GetCodecClientType() {
	case typev3.CodecClientType_HTTP1:
	case typev3.CodecClientType_HTTP2:
		p.major = 2
	default:
		return nil, strict.Errorf("codec_client_type", "%s: %w", m.GetCodecClientType(), strict.ErrUnsupported)
	}
	if !strings.HasPrefix(p.path, "/") || strings.ContainsFunc(p.path, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return nil, strict.Errorf("path", "not the path of a request")
	}
	if strings.ContainsFunc(p.host, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return nil, strict.Errorf("host", "not the host of a request")
	}
	switch x := m.GetMethod(); x {
	case corev3.RequestMethod_METHOD_UNSPECIFIED:
	case corev3.RequestMethod_CONNECT:
		return nil, strict.Errorf("method", "CONNECT does not go")
	default:
		p.method = x.String()
	}
	var err error
	if m.GetSend() != nil {
		switch p.method {
		case "POST", "PUT", "PATCH", "OPTIONS":
		default:
			return nil, strict.Errorf("send", "%s has no content", p.method)
		}
		if p.body, err = payload(m.GetSend()); err != nil {
			return nil, strict.At("send", err)
		}
	}
	if p.receive, err = payloads(m.GetReceive()); err != nil {
		return nil, strict.At("receive", err)
	}
	if b := m.GetResponseBufferSize(); b != nil {
		p.buffer = int64(min(b.GetValue(), maxCheck))
	}
	sum := int64(0)
	for _, r := range p.receive {
		sum += int64(len(r))
	}
	if p.buffer > 0 && sum > p.buffer {
		return nil, strict.Errorf("receive", "more than response_buffer_size")
	}
	if p.expected, err = ranges(m.GetExpectedStatuses()); err != nil {
		return nil, strict.At("expected_statuses", err)
	}
	if p.expected == nil {
		p.expected = []statuses{{200, 201}}
	}
	if p.retriable, err = ranges(m.GetRetriableStatuses()); err != nil {
		return nil, strict.At("retriable_statuses", err)
	}
	if s := m.GetServiceNameMatcher(); s != nil {
		if p.service, err = match.CompileString(s); err != nil {
			return nil, strict.At("service_name_matcher", err)
		}
	}
	if p.add, err = checkFields(m.GetRequestHeadersToAdd()); err != nil {
		return nil, strict.At("request_headers_to_add", err)
	}
	for _, name := range m.GetRequestHeadersToRemove() {
		p.remove = append(p.remove, strings.ToLower(name))
	}
	return p, nil
}

func ranges(list []*typev3.Int64Range) (out []statuses, err error) {
	for i, r := range list {
		if r.GetStart() >= r.GetEnd() || r.GetStart() < 100 || r.GetEnd() > 600 {
			return nil, strict.AtIndex("", i, strict.Errorf("", "not a range of statuses"))
		}
		out = append(out, statuses{r.GetStart(), r.GetEnd()})
	}
	return out, nil
}

// checkFields compiles fields of a check's request. Values are literal: with a "%" they
// would tell of a request, which there is none of.
func checkFields(list []*corev3.HeaderValueOption) (out []checkField, err error) {
	for i, o := range list {
		at := func(err error) error { return strict.AtIndex("", i, err) }
		if err := strict.Only(o, "header", "append_action"); err != nil {
			return nil, at(err)
		}
		if err := strict.Only(o.GetHeader(), "key", "value"); err != nil {
			return nil, at(strict.At("header", err))
		}
		name, value := strings.ToLower(o.GetHeader().GetKey()), o.GetHeader().GetValue()
		if strings.Contains(strings.ReplaceAll(value, "%%", ""), "%") {
			return nil, at(strict.Errorf("header.value", "a format: %w", strict.ErrUnsupported))
		}
		if name == "" || strings.ContainsAny(name, ": \t\r\n\x00") || strings.ContainsAny(value, "\r\n\x00") {
			return nil, at(strict.Errorf("header", "not a field of a request"))
		}
		out = append(out, checkField{name, strings.ReplaceAll(value, "%%", "%"), o.GetAppendAction()})
	}
	return out, nil
}

func payloads(list []*corev3.HealthCheck_Payload) (out [][]byte, err error) {
	for i, p := range list {
		b, err := payload(p)
		if err != nil {
			return nil, strict.AtIndex("", i, err)
		}
		out = append(out, b)
	}
	return out, nil
}

// payload gives the bytes of a payload, whose text is in hexadecimal.
func payload(p *corev3.HealthCheck_Payload) ([]byte, error) {
	switch x := p.GetPayload().(type) {
	case *corev3.HealthCheck_Payload_Text:
		b, err := hex.DecodeString(x.Text)
		if err != nil || len(b) == 0 {
			return nil, strict.Errorf("text", "not hexadecimal")
		}
		return b, nil
	case *corev3.HealthCheck_Payload_Binary:
		return x.Binary, nil
	}
	return nil, strict.Errorf("", "neither text nor binary")
}
