package upstream

import (
	"fmt"
	"testing"
)

// TestElsewhere holds which priorities are asked in turn, each by its one endpoint.
func TestElsewhere(t *testing.T) {
	for _, tt := range []struct {
		policy, spec string
		every        int
		want         string
		change       string // as many priorities, of which that of 9 is left
	}{
		{"", "1|2|3", 1, "1 2 3 1 2 3", "1!UNHEALTHY|9|3!UNHEALTHY"}, // when none is left all are again
		{"", "1|2|3", 2, "1 1 2 2 3 3", "1!UNHEALTHY|9|3!UNHEALTHY"},
		{"", "1|2!UNHEALTHY|3", 1, "1 3 1 3 1 3", "1!UNHEALTHY|9|3!UNHEALTHY"},
		{"", "1|2|3", 4, "1 1 1 1 2 2", "1|9|3"}, // 1 is spent, 2 is not yet
		{"", "1", 1, "1 1 1 1 1 1", "9"},
		{"lb_policy: RING_HASH, ", "1|2", 1, "1 1 1 1 1 1", "1!UNHEALTHY|9"},
	} {
		c := cluster(t, "{"+overEDS+tt.policy+"}")
		set(t, c, tt.spec)
		ask := Ask{Hash: 7, Elsewhere: NewElsewhere(tt.every)}
		got := ""
		for range 6 {
			h, err := c.Pick(t.Context(), ask)
			if err != nil {
				t.Fatal(err)
			}
			got += fmt.Sprint(" ", h.Addr.Port())
			ask.Elsewhere.Tried()
		}
		if got != " "+tt.want {
			t.Errorf("%s every %d of %s:%s, want %s", tt.policy, tt.every, tt.spec, got, tt.want)
		}
		set(t, c, tt.change)
		if h, err := c.Pick(t.Context(), ask); err != nil || h.Addr.Port() != 9 {
			t.Errorf("%s every %d of %s, then %s: %v, %v", tt.policy, tt.every, tt.spec, tt.change, h, err)
		}
		set(t, c, "4") // fewer priorities than it knows of
		if h, err := c.Pick(t.Context(), ask); err != nil || h.Addr.Port() != 4 {
			t.Errorf("after a change: %v, %v", h, err)
		}
	}
}
