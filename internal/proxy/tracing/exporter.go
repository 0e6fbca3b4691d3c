package tracing

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	collectorv1 "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	commonv1 "go.opentelemetry.io/proto/otlp/common/v1"
	resourcev1 "go.opentelemetry.io/proto/otlp/resource/v1"
	tracev1 "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/usher-mesh/usher/internal/proxy/otlp"
)

// exporter sends spans in batches. What the collector does not take in time is dropped.
type exporter struct {
	spans    chan *tracev1.Span
	resource *resourcev1.Resource
	scope    *commonv1.InstrumentationScope
	send     otlp.Send
	dropped  atomic.Uint64
	failing  bool
	log      *slog.Logger
	end      context.CancelFunc
}

const (
	enough   = 5               // spans that are sent without waiting for more, as in Envoy
	maxBatch = 512             // spans
	interval = 5 * time.Second // after which fewer are sent
	lastSend = time.Second     // of what is left at the end
)

// add never waits.
func (e *exporter) add(s *tracev1.Span) {
	select {
	case e.spans <- s:
	default:
		e.dropped.Add(1)
	}
}

func (e *exporter) start() {
	ctx, end := context.WithCancel(context.Background())
	e.end = end
	go e.run(ctx)
}

func (e *exporter) run(ctx context.Context) {
	var batch []*tracev1.Span
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case s := <-e.spans:
			batch = append(batch, s)
			if len(batch) < enough {
				continue
			}
		case <-tick.C:
		case <-ctx.Done():
			batch = e.drain(batch)
			last, cancel := context.WithTimeout(context.Background(), lastSend)
			defer cancel()
			e.export(last, batch)
			return
		}
		batch = e.drain(batch)
		e.export(ctx, batch)
		clear(batch)
		batch = batch[:0]
	}
}

// drain takes what else is there.
func (e *exporter) drain(batch []*tracev1.Span) []*tracev1.Span {
	for len(batch) < maxBatch {
		select {
		case s := <-e.spans:
			batch = append(batch, s)
		default:
			return batch
		}
	}
	return batch
}

func (e *exporter) export(ctx context.Context, batch []*tracev1.Span) {
	if len(batch) == 0 {
		return
	}
	err := e.send(ctx, &collectorv1.ExportTraceServiceRequest{ResourceSpans: []*tracev1.ResourceSpans{{
		Resource: e.resource, ScopeSpans: []*tracev1.ScopeSpans{{Scope: e.scope, Spans: batch}}}}})
	if err != nil {
		e.dropped.Add(uint64(len(batch)))
		if !e.failing {
			e.log.Warn("spans are not taken", "error", err, "dropped", e.dropped.Load())
		}
	}
	e.failing = err != nil
}
