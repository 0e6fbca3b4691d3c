package tracing

import (
	"slices"
	"strconv"
	"strings"
	"time"

	commonv1 "go.opentelemetry.io/proto/otlp/common/v1"
	tracev1 "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/usher-mesh/usher/internal/proxy/customtag"
	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/redact"
)

// Span is what is known of a request, or of one try of it at an upstream, while it goes on.
type Span struct {
	t     *Tracing
	ctx   traceContext
	kind  tracev1.Span_SpanKind
	name  string
	start time.Time
	tries int // before this one
	// decorated is the operation that the route says, for the other side; "": nothing.
	decorated string
	tags      []customtag.Tag // of the route
}

// Start begins the span of a request; nil if what it says of its trace cannot be read.
// Traced is what Decide said; operation, propagate and tags are the route's.
func (t *Tracing) Start(x *exchange.Exchange, traced bool, operation string, propagate bool, tags []customtag.Tag) *Span {
	s := &Span{t: t, kind: tracev1.Span_SPAN_KIND_SERVER, name: "ingress", start: x.Start, tags: tags}
	if t.outbound {
		s.name = "egress " + x.Request.Authority
		if !t.spawn && !t.split {
			s.kind = tracev1.Span_SPAN_KIND_CLIENT
		}
	}
	if t.hosts {
		s.name = strings.Clone(x.Request.Authority)
	}
	var ok bool
	if s.ctx, ok = t.carrier.start(&x.Request.Header, traced, s.kind == tracev1.Span_SPAN_KIND_CLIENT); !ok {
		return nil
	}
	if t.always {
		s.ctx.sampled = true
	}
	if operation != "" {
		s.name = operation
		if propagate {
			s.decorated = operation
		}
	}
	s.exchanged(&x.Request.Header)
	return s
}

// Trace names the span to logs.
func (s *Span) Trace() exchange.Trace {
	return exchange.Trace{ID: s.ctx.trace, Span: s.ctx.span, Short: !s.ctx.wide}
}

const decorator = "x-envoy-decorator-operation"

// exchanged tells the other side the route's operation, or is told one by the one that
// asks: its word counts here.
func (s *Span) exchanged(h *exchange.Header) {
	if s.t.outbound {
		if s.decorated != "" {
			h.Set(decorator, s.decorated)
		}
		return
	}
	if v, ok := h.Lookup(decorator); ok {
		if v != "" {
			s.name = strings.Clone(v)
		}
		s.decorated = ""
		h.Del(decorator)
	}
}

// Answer does the same with an answer.
func (s *Span) Answer(h *exchange.Header) {
	switch v, ok := h.Lookup(decorator); {
	case !s.t.outbound && s.decorated != "":
		h.Set(decorator, s.decorated)
	case s.t.outbound && ok:
		if v != "" {
			s.name = strings.Clone(v)
		}
		h.Del(decorator)
	}
}

// Try begins a try at an upstream, and tells it of the trace. Nil unless tries have spans
// of their own.
func (s *Span) Try(x *exchange.Exchange) *Span {
	of := s
	var child *Span
	if s.t.spawn {
		child = &Span{t: s.t, ctx: s.ctx, tags: s.tags, kind: tracev1.Span_SPAN_KIND_CLIENT,
			name: "router " + x.Cluster + " egress", start: time.Now(), tries: x.Attempts - 1}
		child.ctx.parent, child.ctx.child = s.ctx.span, true
		random(child.ctx.span[:])
		of = child
	}
	if !s.t.noContext {
		s.t.carrier.inject(&of.ctx, &x.Request.Header)
	}
	return child
}

// End ends the span of a request that was for the cluster ("": none), and answered with so
// many bytes of content.
func (s *Span) End(x *exchange.Exchange, cluster string, sent int64) {
	if !s.ctx.sampled {
		return
	}
	var a attributes
	h := &x.Request.Header
	if x.RequestID != "" {
		a.add("guid:x-request-id", x.RequestID)
	}
	a.add("http.url", s.t.url(x))
	a.add("http.method", x.Request.Method)
	a.add("downstream_cluster", shown(x, "x-envoy-downstream-service-cluster"))
	a.add("user_agent", shown(x, "user-agent"))
	a.add("http.protocol", protocol(x.Request.ProtoMajor, x.Request.ProtoMinor))
	a.add("peer.address", x.Conn.Direct.Addr().String())
	if has(h, "x-client-trace-id") {
		a.add("guid:x-client-trace-id", shown(x, "x-client-trace-id"))
	}
	if t := h.Get("content-type"); t == "application/grpc" || strings.HasPrefix(t, "application/grpc+") {
		a.add("grpc.path", redact.Query(x.Request.Path, x.Secrets()))
		a.add("grpc.authority", x.Request.Authority)
		a.add("grpc.content_type", t)
		if v, ok := h.Lookup("grpc-timeout"); ok {
			a.add("grpc.timeout", v)
		}
		s.grpc(x, &a)
	}
	a.add("node_id", s.t.node)
	a.add("zone", s.t.zone)
	a.add("request_size", strconv.FormatInt(x.BytesReceived, 10))
	a.add("response_size", strconv.FormatInt(sent, 10))
	s.finish(x, cluster, x.ResponseFlags(), &a)
}

// Reset is why a try has no answer: Envoy's text and flags of the response.
type Reset struct{ Reason, Flags string }

// EndTry ends the span of a try. Given up: its answer is not wanted, another try follows.
func (s *Span) EndTry(x *exchange.Exchange, givenUp bool, r Reset) {
	if s == nil || !s.ctx.sampled {
		return
	}
	var a attributes
	if s.tries > 0 {
		a.add("retry.count", strconv.Itoa(s.tries))
	}
	if x.UpstreamMajor == 0 {
		a.add("http.protocol", "-")
	} else {
		a.add("http.protocol", protocol(x.UpstreamMajor, 1))
	}
	if x.UpstreamHost != "" {
		a.add("upstream_address", x.UpstreamHost)
		a.add("peer.address", x.UpstreamHost)
	}
	if givenUp {
		a.add("canceled", "true")
	}
	if r.Reason != "" {
		a.add("error", "true")
		a.add("error.reason", r.Reason)
	}
	s.finish(x, x.Cluster, r.Flags, &a)
}

// grpc adds what the answer says of gRPC.
func (s *Span) grpc(x *exchange.Exchange, a *attributes) {
	for _, h := range []*exchange.Header{&x.Response.Header, &x.Response.Trailer} {
		v, ok := h.Lookup("grpc-status")
		if !ok {
			continue
		}
		a.add("grpc.status_code", v)
		a.add("grpc.message", redact.Tokens(h.Get("grpc-message")))
		if v != "0" {
			a.add("error", "true")
		}
		return
	}
}

// finish adds what both have, and hands the span to the exporter.
func (s *Span) finish(x *exchange.Exchange, cluster, flags string, a *attributes) {
	a.add("component", "proxy")
	if cluster != "" {
		a.add("upstream_cluster", cluster)
		a.add("upstream_cluster.name", cluster)
	}
	a.add("http.status_code", strconv.Itoa(x.Response.Status))
	if flags == "" {
		flags = "-"
	}
	a.add("response_flags", flags)
	status := &tracev1.Status{}
	if x.Response.Status == 0 || x.Response.Status >= 500 {
		a.add("error", "true")
	}
	if x.Response.Status >= 500 || s.kind == tracev1.Span_SPAN_KIND_CLIENT && x.Response.Status >= 400 {
		status.Code = tracev1.Status_STATUS_CODE_ERROR
	}
	for i := range s.t.tags {
		tag := &s.t.tags[i]
		if !slices.ContainsFunc(s.tags, func(own customtag.Tag) bool { return own.Name == tag.Name }) {
			a.tag(x, tag)
		}
	}
	for i := range s.tags {
		a.tag(x, &s.tags[i])
	}
	m := &tracev1.Span{
		TraceId: s.ctx.id(), SpanId: s.ctx.span[:], TraceState: valid(s.ctx.state), Name: valid(redact.Tokens(s.name)), Kind: s.kind,
		StartTimeUnixNano: uint64(s.start.UnixNano()), EndTimeUnixNano: uint64(time.Now().UnixNano()), Attributes: a.list, Status: status,
	}
	if s.ctx.child {
		m.ParentSpanId = s.ctx.parent[:]
	}
	s.t.exporter.add(m)
}

// attributes are those of a span, each once.
type attributes struct{ list []*commonv1.KeyValue }

func (a *attributes) add(key, value string) {
	v := &commonv1.AnyValue{Value: &commonv1.AnyValue_StringValue{StringValue: valid(value)}}
	for _, kv := range a.list {
		if kv.Key == key {
			kv.Value = v
			return
		}
	}
	a.list = append(a.list, &commonv1.KeyValue{Key: key, Value: v})
}

// tag adds what a configuration does.
func (a *attributes) tag(x *exchange.Exchange, t *customtag.Tag) {
	if v := t.Of(x); v != "" {
		a.add(t.Name, v)
	}
}

// valid copies a text out of the request, in UTF-8, as protobuf wants it.
func valid(s string) string { return strings.Clone(strings.ToValidUTF8(s, "!")) }

// shown gives a field of the request as it may be seen, "-" without it.
func shown(x *exchange.Exchange, name string) string {
	v, ok := x.Request.Header.Lookup(name)
	if !ok {
		return "-"
	}
	return redact.Header(x, name, v)
}

// url is what was asked for, as far as it may be seen.
func (t *Tracing) url(x *exchange.Exchange) string {
	path := x.Request.Path
	if v, ok := x.Request.Header.Lookup("x-envoy-original-path"); ok {
		path = v
	}
	path = redact.Query(path, x.Secrets()) // before it is cut, so that no half of a token is left
	if len(path) > t.maxPath {
		path = path[:t.maxPath]
	}
	return x.Request.Scheme + "://" + x.Request.Authority + path
}

func protocol(major, minor int) string {
	switch {
	case major == 2:
		return "HTTP/2"
	case minor == 0:
		return "HTTP/1.0"
	}
	return "HTTP/1.1"
}
