package source

import (
	"context"
	"time"
)

// Clock is the time as the debouncer sees it.
type Clock interface {
	Now() time.Time
	// After gives a channel that fires once after d.
	After(d time.Duration) <-chan time.Time
}

type wallClock struct{}

func (wallClock) Now() time.Time                         { return time.Now() }
func (wallClock) After(d time.Duration) <-chan time.Time { return time.After(d) }

// debounce waits for a change, then until there is none for quiet, but for no
// longer than most. It is false if ctx ended.
func debounce(ctx context.Context, clock Clock, changed <-chan struct{}, quiet, most time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-changed:
	}
	end := clock.Now().Add(most)
	for {
		left := min(quiet, end.Sub(clock.Now()))
		if left <= 0 {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-clock.After(left):
			return true
		case <-changed:
		}
	}
}
