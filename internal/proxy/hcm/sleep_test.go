package hcm

import (
	"testing"
	"time"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
)

// What a filter asks about a request ends with its client, and tells so.
func TestContextEndsWithTheClient(t *testing.T) {
	s := &session{m: &Manager{}, c: &Connection{}}
	s.hooks()
	s.take()
	ctx, cancel := s.x.Context(time.Hour)
	defer cancel()
	s.clientGone()
	select {
	case <-ctx.Done():
	case <-time.After(10 * time.Second):
		t.Fatal("it goes on")
	}
	if !exchange.Gone(ctx) {
		t.Error("it is told as a timeout")
	}
}

// A request that is held up ends with its client, whether that goes before or after.
func TestSleepEndsWithTheClient(t *testing.T) {
	for _, before := range []bool{true, false} {
		s := &session{m: &Manager{}, x: new(exchange.Exchange)}
		done := make(chan bool)
		if before {
			s.clientGone()
		}
		go func() { done <- s.sleep(time.Hour) }()
		for !before {
			s.way.mu.Lock()
			asleep := s.way.wake != nil
			s.way.mu.Unlock()
			if asleep {
				s.clientGone()
				break
			}
		}
		select {
		case went := <-done:
			if went || s.x.Response.Status != 0 {
				t.Errorf("before %v: %v %d", before, went, s.x.Response.Status)
			}
		case <-time.After(10 * time.Second):
			t.Fatal("still held up")
		}
	}
}
