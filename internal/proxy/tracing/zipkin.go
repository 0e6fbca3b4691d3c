package tracing

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	tracev3 "github.com/envoyproxy/go-control-plane/envoy/config/trace/v3"
	tracev1 "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/usher-mesh/usher/internal/proxy/counters"
	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/http1"
	"github.com/usher-mesh/usher/internal/proxy/otlp"
	"github.com/usher-mesh/usher/internal/proxy/strict"
	"github.com/usher-mesh/usher/internal/proxy/upstream"
)

// zipkinCounts are Envoy's statistics of all of a process's tracers for Zipkin, and spans that
// were dropped.
type zipkinCounts struct {
	Sent    counters.Counter `stat:"spans_sent"`
	Lost    counters.Counter `stat:"spans_dropped"`
	Flushed counters.Counter `stat:"timer_flushed"`
	None    counters.Counter `stat:"reports_skipped_no_cluster"`
	Taken   counters.Counter `stat:"reports_sent"`
	Refused counters.Counter `stat:"reports_dropped"`
	Failed  counters.Counter `stat:"reports_failed"`
}

// zipkin compiles the provider envoy.tracers.zipkin.
func (t *Tracing) zipkin(a *anypb.Any, o Options) error {
	c := new(tracev3.ZipkinConfig)
	if err := strict.Unpack(a, c); err != nil {
		return err
	}
	if err := strict.Only(c, "collector_cluster", "collector_endpoint", "trace_id_128bit", "shared_span_context", "collector_endpoint_version",
		"collector_hostname", "split_spans_for_request", "trace_context_option", "collector_service"); err != nil {
		return err
	}
	if v := c.GetCollectorEndpointVersion(); v != tracev3.ZipkinConfig_HTTP_JSON {
		return strict.Errorf("collector_endpoint_version", "%s: %w (want HTTP_JSON)", v, strict.ErrUnsupported)
	}
	shared := c.GetSharedSpanContext() == nil || c.GetSharedSpanContext().GetValue()
	p := &b3{wide: c.GetTraceId_128Bit(), shared: shared}
	switch v := c.GetTraceContextOption(); v {
	case tracev3.ZipkinConfig_USE_B3:
	case tracev3.ZipkinConfig_USE_B3_WITH_W3C_PROPAGATION:
		p.w3c = true
	default:
		return strict.Errorf("trace_context_option", "%s: %w", v, strict.ErrUnsupported)
	}
	//lint:ignore SA1019 configurations have it
	t.carrier, t.hosts, t.split = p, true, c.GetSplitSpansForRequest()
	post, err := zipkinPost(c)
	if err != nil {
		return err
	}
	n := counters.Group[zipkinCounts](o.Counters, counters.Tracing, "zipkin")
	z := &zipkinReporter{post: post, clusters: o.Clusters, service: o.Node.GetCluster(), shared: shared, counts: n}
	t.exporter = &exporter{log: o.Log, spans: make(chan *tracev1.Span, defaultCache), send: z.export, flushed: n.Flushed.Inc,
		lost: func(spans int) { n.Lost.Add(uint64(spans)) }}
	return nil
}

// zipkinPost says where spans go to: by collector_service, or else by the older fields.
func zipkinPost(c *tracev3.ZipkinConfig) (*otlp.Post, error) {
	p := &otlp.Post{Cluster: c.GetCollectorCluster(), Host: c.GetCollectorHostname(), Path: c.GetCollectorEndpoint(), Timeout: 5 * time.Second,
		Fields: []exchange.Field{{Name: "content-type", Value: "application/json"}}}
	if m := c.GetCollectorService(); m != nil {
		if err := p.Compile(m); err != nil {
			return nil, strict.At("collector_service", err)
		}
		uri := m.GetHttpUri().GetUri()
		at, err := url.Parse(uri)
		if p.Host, p.Path = "", uri; err == nil && at.Host != "" {
			p.Host, p.Path = at.Host, at.RequestURI()
		}
		if !asked(p) {
			return nil, strict.Errorf("collector_service.http_uri.uri", "neither a URL nor a path")
		}
		return p, nil
	}
	switch {
	case p.Cluster == "":
		return nil, strict.Errorf("collector_cluster", "empty")
	case !asked(p):
		return nil, strict.Errorf("collector_endpoint", "no path, or collector_hostname is none")
	}
	return p, nil
}

// asked sets the host that is asked for, and tells whether that and the path are such.
func asked(p *otlp.Post) bool {
	if p.Host == "" {
		p.Host = p.Cluster
	}
	return strings.HasPrefix(p.Path, "/") && http1.ValidTarget(p.Path) && http1.ValidAuthority(p.Host)
}

// zipkinReporter says batches of spans in the form of Zipkin's API v2.
type zipkinReporter struct {
	post     *otlp.Post
	clusters otlp.Clusters
	service  string // this proxy's
	shared   bool
	counts   *zipkinCounts
}

func (z *zipkinReporter) export(ctx context.Context, batch []*tracev1.Span) error {
	spans := make([]zipkinSpan, len(batch))
	for i, s := range batch {
		spans[i] = z.span(s)
	}
	var content bytes.Buffer
	to := json.NewEncoder(&content)
	to.SetEscapeHTML(false) // it would make six bytes of one
	if err := to.Encode(spans); err != nil {
		return err
	}
	z.counts.Sent.Add(uint64(len(batch)))
	status, err := z.post.Send(ctx, z.clusters, bytes.TrimSuffix(content.Bytes(), []byte{'\n'}))
	switch {
	case errors.Is(err, upstream.ErrNoHealthy):
		z.counts.None.Inc()
	case err != nil:
		z.counts.Failed.Inc()
	case status != 202:
		z.counts.Refused.Inc()
		err = fmt.Errorf("the collector answers %d", status)
	default:
		z.counts.Taken.Inc()
	}
	return err
}

// zipkinSpan is Span of Zipkin's API v2. Times are microseconds.
type zipkinSpan struct {
	TraceID     string             `json:"traceId"`
	ParentID    string             `json:"parentId,omitempty"`
	ID          string             `json:"id"`
	Kind        string             `json:"kind"`
	Name        string             `json:"name"`
	Timestamp   uint64             `json:"timestamp"`
	Duration    uint64             `json:"duration"`
	Shared      bool               `json:"shared,omitempty"`
	Local       zipkinEndpoint     `json:"localEndpoint"`
	Annotations []zipkinAnnotation `json:"annotations"`
	Tags        map[string]string  `json:"tags"`
}

type zipkinEndpoint struct {
	ServiceName string `json:"serviceName"`
}

type zipkinAnnotation struct {
	Timestamp uint64 `json:"timestamp"`
	Value     string `json:"value"`
}

func (z *zipkinReporter) span(s *tracev1.Span) zipkinSpan {
	const micro = uint64(time.Microsecond)
	out := zipkinSpan{
		TraceID: hex.EncodeToString(s.TraceId), ParentID: hex.EncodeToString(s.ParentSpanId), ID: hex.EncodeToString(s.SpanId), Kind: "CLIENT", Name: s.Name,
		Timestamp: s.StartTimeUnixNano / micro, Duration: max(1, (s.EndTimeUnixNano-min(s.StartTimeUnixNano, s.EndTimeUnixNano))/micro),
		Local: zipkinEndpoint{z.service}, Annotations: []zipkinAnnotation{{s.EndTimeUnixNano / micro, "cr"}}, Tags: make(map[string]string, len(s.Attributes)),
	}
	if s.Kind == tracev1.Span_SPAN_KIND_SERVER {
		out.Kind, out.Shared, out.Annotations[0].Value = "SERVER", z.shared, "ss"
	}
	for _, a := range s.Attributes {
		if v := a.Value.GetStringValue(); v != "" { // as in Envoy
			out.Tags[a.Key] = v
		}
	}
	return out
}
