package accesslog

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	otelv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/open_telemetry/v3"
	logsv1 "go.opentelemetry.io/proto/otlp/logs/v1"

	"github.com/usher-mesh/usher/internal/proxy/counters"
	"github.com/usher-mesh/usher/internal/proxy/proxytest"
)

// queued makes a queue whose collector answers when and what answer says.
func queued(t *testing.T, config string, files *Files) (q *queue[*logsv1.LogRecord], begun chan int, answer chan error) {
	t.Helper()
	m := new(otelv3.OpenTelemetryAccessLogConfig)
	proxytest.Decode(t, config, m)
	begun, answer = make(chan int, 100), make(chan error)
	q, err := newQueue(func(ctx context.Context, batch []*logsv1.LogRecord) error {
		begun <- len(batch)
		select {
		case err := <-answer:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}, m, "q", &Options{Files: files, Counters: new(counters.Set), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return q, begun, answer
}

func entry(bytes int) *logsv1.LogRecord {
	return &logsv1.LogRecord{Body: stringValue(strings.Repeat("x", bytes))}
}

// next gives the size of the next batch.
func next(t *testing.T, begun chan int) int {
	t.Helper()
	select {
	case n := <-begun:
		return n
	case <-time.After(10 * time.Second):
		t.Fatal("nothing is sent")
		return 0
	}
}

// TestQueueDead has a collector that takes nothing: nobody waits for it, what is kept is
// bounded by bytes and by number, and what is lost is counted.
func TestQueueDead(t *testing.T) {
	for name, size := range map[string]int{"large": 10 << 10, "small": 0} {
		t.Run(name, func(t *testing.T) {
			files := new(Files)
			q, begun, answer := queued(t, `{buffer_size_bytes: 0}`, files)
			q.add(entry(size))
			if n := next(t, begun); n != 1 {
				t.Fatalf("%d are sent, not 1", n)
			}
			const more = 2 * maxEntries
			for range more {
				q.add(entry(size))
			}
			q.mu.Lock()
			kept, bytes := len(q.entries), q.bytes
			q.mu.Unlock()
			if kept == 0 || kept > maxEntries || bytes > maxQueued {
				t.Errorf("%d entries of %d bytes are kept", kept, bytes)
			}
			if n := q.stats.Dropped.Load(); n != uint64(more-kept) {
				t.Errorf("%d are counted as dropped, not %d", n, more-kept)
			}
			answer <- errors.New("it is gone")
			if n := next(t, begun); n != kept {
				t.Errorf("%d are sent next, not %d", n, kept)
			}
			q.end()
			answer <- nil
			files.send() // returns when that has been counted
			if w, d := q.stats.Written.Load(), q.stats.Dropped.Load(); w != uint64(kept) || d != uint64(more-kept+1) {
				t.Errorf("%d written, %d dropped", w, d)
			}
		})
	}
}

// TestQueueAnew holds that what was sent leaves its room to what comes after it.
func TestQueueAnew(t *testing.T) {
	files := new(Files)
	q, begun, answer := queued(t, `{buffer_size_bytes: 0}`, files)
	const size = maxQueued / 3
	for i := range 5 {
		q.add(entry(size))
		if n := next(t, begun); n != 1 {
			t.Fatalf("%d are sent, not 1", n)
		}
		if n := q.stats.Dropped.Load(); n > 0 {
			t.Fatalf("%d are dropped after %d", n, i)
		}
		answer <- nil
	}
	q.end()
	files.send()
	if n := q.stats.Written.Load(); n != 5 {
		t.Errorf("%d written", n)
	}
}

// TestQueueEnds holds that entries which wait are sent at the end of a configuration and
// of the process, and ones that come after it, too.
func TestQueueEnds(t *testing.T) {
	files := new(Files)
	q, begun, answer := queued(t, `{buffer_flush_interval: 3600s, buffer_size_bytes: 1000000}`, files)
	q.add(entry(1))
	q.add(entry(1))
	q.end()
	if n := next(t, begun); n != 2 {
		t.Errorf("%d are sent, not 2", n)
	}
	answer <- nil
	q.add(entry(1))
	if n := next(t, begun); n != 1 {
		t.Errorf("%d are sent, not 1", n)
	}
	answer <- nil

	q, begun, answer = queued(t, `{buffer_flush_interval: 3600s, buffer_size_bytes: 1000000}`, files)
	q.add(entry(1))
	done := make(chan error, 1)
	go func() { done <- files.Close() }()
	next(t, begun)
	answer <- nil
	if err := <-done; err != nil {
		t.Error(err)
	}
	q.end()
}

// TestQueueTimer sends what is too little when it has waited.
func TestQueueTimer(t *testing.T) {
	q, begun, answer := queued(t, `{buffer_flush_interval: 0.01s}`, new(Files))
	for range 2 {
		q.add(entry(1))
		if n := next(t, begun); n != 1 {
			t.Errorf("%d are sent, not 1", n)
		}
		answer <- nil
	}
	q.end()
}
