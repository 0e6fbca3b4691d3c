package accesslog

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/usher-mesh/usher/internal/proxy/counters"
	"github.com/usher-mesh/usher/internal/proxy/strict"
)

// queue collects entries of a log for somebody else, who is sent them together. Whoever
// adds one never waits: what is not taken in time is dropped and counted.
type queue[E proto.Message] struct {
	send     func(context.Context, []E) error
	enough   int           // bytes that are sent without waiting for more
	interval time.Duration // after which fewer are sent
	stats    *queueStats
	log      *slog.Logger
	release  func() // called at the end
	gone     func() // called when nothing is left after it

	turn chan struct{} // holds one: who takes it sends

	mu      sync.Mutex
	entries []E
	bytes   int
	timer   *time.Timer
	waiting bool // for the timer
	sending bool // somebody looks for more when he has sent
	ended   bool
	failing bool
}

// queueStats are Envoy's.
type queueStats struct {
	Written counters.Counter `stat:"logs_written"`
	Dropped counters.Counter `stat:"logs_dropped"`
}

const (
	// maxQueued bounds what waits while an earlier batch is sent, in bytes. With one more
	// entry it is less than a gRPC server takes by default.
	maxQueued  = 1 << 20
	maxEntries = 8192             // small ones take more memory than bytes
	sendLimit  = 10 * time.Second // for a batch
	lastSend   = time.Second      // of what is left at the end
)

// buffering is when entries are sent, as both kinds of configuration say it.
type buffering interface {
	GetBufferFlushInterval() *durationpb.Duration
	GetBufferSizeBytes() *wrapperspb.UInt32Value
}

// newQueue makes a queue, whose counters are called by the name.
func newQueue[E proto.Message](send func(context.Context, []E) error, b buffering, name string, o *Options) (*queue[E], error) {
	q := &queue[E]{send: send, enough: 16 << 10, interval: time.Second, turn: make(chan struct{}, 1), log: o.Log}
	if n := b.GetBufferSizeBytes(); n != nil {
		q.enough = int(n.GetValue())
	}
	if q.enough > maxQueued {
		return nil, strict.Errorf("buffer_size_bytes", "above %d", maxQueued)
	}
	if d := b.GetBufferFlushInterval(); d != nil {
		q.interval = d.AsDuration()
	}
	if q.interval <= 0 {
		return nil, strict.Errorf("buffer_flush_interval", "must be above 0")
	}
	q.turn <- struct{}{}
	o.Counters.Hold(counters.AccessLog, name)
	q.stats = counters.Group[queueStats](o.Counters, counters.AccessLog, name)
	o.Files.hold(q)
	q.release = func() { o.Counters.Release(counters.AccessLog, name) }
	q.gone = func() { o.Files.letGo(q) }
	return q, nil
}

func (q *queue[E]) add(e E) {
	n := proto.Size(e)
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.bytes+n > maxQueued || len(q.entries) == maxEntries {
		q.stats.Dropped.Inc()
		q.complain("are dropped", nil)
		return
	}
	q.entries = append(q.entries, e)
	q.bytes += n
	q.look()
}

// look has somebody send if there is enough, or sees to it that somebody will.
func (q *queue[E]) look() {
	switch {
	case q.sending || len(q.entries) == 0:
	case q.bytes >= q.enough || q.ended:
		q.sending = true
		go q.run()
	case !q.waiting:
		q.waiting = true
		if q.timer == nil {
			q.timer = time.AfterFunc(q.interval, q.due)
		} else {
			q.timer.Reset(q.interval)
		}
	}
}

// due sends what there is.
func (q *queue[E]) due() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.waiting = false
	if !q.sending && len(q.entries) > 0 {
		q.sending = true
		go q.run()
	}
}

func (q *queue[E]) run() {
	ctx, cancel := context.WithTimeout(context.Background(), sendLimit)
	defer cancel()
	q.flush(ctx)
	q.mu.Lock()
	defer q.mu.Unlock()
	q.sending = false
	q.look()
	if q.ended && !q.sending {
		q.gone()
	}
}

// flush sends what there is once what is being sent has been.
func (q *queue[E]) flush(ctx context.Context) {
	select {
	case <-q.turn:
		defer func() { q.turn <- struct{}{} }()
	case <-ctx.Done():
		return
	}
	q.mu.Lock()
	batch := q.entries
	q.entries, q.bytes = nil, 0
	q.mu.Unlock()
	if len(batch) == 0 {
		return
	}
	err := q.send(ctx, batch)
	q.mu.Lock()
	defer q.mu.Unlock()
	if err == nil {
		q.stats.Written.Add(uint64(len(batch)))
		q.failing = false
		return
	}
	q.stats.Dropped.Add(uint64(len(batch)))
	q.complain("are not taken", err)
}

// complain logs the first of what goes wrong in a row.
func (q *queue[E]) complain(what string, err error) {
	if !q.failing {
		q.log.Warn("entries of an access log "+what, "error", err, "dropped", q.stats.Dropped.Load())
	}
	q.failing = true
}

// end sends what there is, and from here on each entry as it comes.
func (q *queue[E]) end() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.ended = true
	q.release()
	if q.timer != nil {
		q.timer.Stop()
	}
	if q.look(); !q.sending {
		q.gone()
	}
}
