package hcm

import (
	"testing"
	"time"
)

// A request that is held up ends with its client, whether that goes before or after.
func TestSleepEndsWithTheClient(t *testing.T) {
	for _, before := range []bool{true, false} {
		s := &session{m: &Manager{}}
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
			if went || s.x.Flags != "DC" {
				t.Errorf("before %v: %v %q", before, went, s.x.Flags)
			}
		case <-time.After(10 * time.Second):
			t.Fatal("still held up")
		}
	}
}
