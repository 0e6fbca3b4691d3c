package footprint

import (
	"testing"
	"time"
)

func TestDue(t *testing.T) {
	i := idle{held: 20 << 20}
	for n, look := range []struct {
		busy time.Duration
		held uint64
		due  bool
	}{
		{0, 20 << 20, false},
		{9 * time.Second, 80 << 20, false}, // at work
		{300 * time.Millisecond, 80 << 20, false},
		{100 * time.Millisecond, 80 << 20, true},
		{0, 23 << 20, false}, // what is left is not worth it
		{0, 10 << 20, false},
		{0, 15 << 20, true}, // more than it ever was after a trim
	} {
		if got := i.due(i.used+look.busy, look.held); got != look.due {
			t.Errorf("look %d: %v", n, got)
		}
	}
}

func TestHeldAndUsed(t *testing.T) {
	if h := held(); h < 1<<20 || h > 1<<32 {
		t.Errorf("%d bytes held", h)
	}
	before := used()
	for used() == before {
	}
}
