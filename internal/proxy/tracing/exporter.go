package tracing

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	tracev1 "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// exporter sends spans in batches. What the collector does not take in time is dropped, and
// so is what is more than there is room for: clients make spans as large as their requests.
type exporter struct {
	spans   chan *tracev1.Span
	bytes   atomic.Int64                                 // of spans that wait or are being sent
	send    func(context.Context, []*tracev1.Span) error // waits until they are taken
	flushed func()                                       // nil, or told that the interval has passed
	lost    func(spans int)                              // nil, or told of those that are dropped
	dropped atomic.Uint64
	failing bool
	log     *slog.Logger
	end     context.CancelFunc
}

const (
	enough   = 5               // spans that are sent without waiting for more, as in Envoy
	maxBatch = 512             // spans
	interval = 5 * time.Second // after which fewer are sent
	lastSend = time.Second     // of what is left at the end
	spanRoom = 2 << 10         // bytes that there are for each span that may wait; most have less than 1 KiB
)

// add never waits.
func (e *exporter) add(s *tracev1.Span) {
	n := int64(proto.Size(s))
	if e.bytes.Add(n) <= int64(cap(e.spans))*spanRoom {
		select {
		case e.spans <- s:
			return
		default:
		}
	}
	e.bytes.Add(-n)
	e.drop(1)
}

func (e *exporter) drop(n int) {
	e.dropped.Add(uint64(n))
	if e.lost != nil {
		e.lost(n)
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
			if e.flushed != nil {
				e.flushed()
			}
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
	err := e.send(ctx, batch)
	for _, s := range batch {
		e.bytes.Add(-int64(proto.Size(s)))
	}
	if err != nil {
		e.drop(len(batch))
		if !e.failing {
			e.log.Warn("spans are not taken", "error", err, "dropped", e.dropped.Load())
		}
	}
	e.failing = err != nil
}
