package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestJudge(t *testing.T) {
	rounds := [][]row{{
		{Work: "plain", Peer: "nginx", CPU: 20, Busy: 99},
		{Work: "plain", Peer: "usher", CPU: 21, Busy: 99, Resident: 12},
		{Work: "jwt-cache", Peer: "envoy", CPU: 100, Busy: 99},
		{Work: "jwt-cache", Peer: "usher", CPU: 26, Busy: 99, Resident: 26},
		{Work: "mesh", Peer: "nginx", CPU: 100, Busy: 60},
		{Work: "mesh", Peer: "usher", CPU: 70, Busy: 95, Resident: 20},
		{Work: "post", Peer: "usher", CPU: 30, Busy: 95, Resident: 20}, // without a peer: nothing to say
	}, { // a machine of half the pace
		{Work: "plain", Peer: "nginx", CPU: 40, Busy: 99},
		{Work: "plain", Peer: "usher", CPU: 48, Busy: 99},
		{Work: "jwt-cache", Peer: "envoy", CPU: 10, Busy: 50}, // disturbed: the other rounds count
		{Work: "jwt-cache", Peer: "usher", CPU: 52, Busy: 99, Resident: 20},
		{Work: "mesh", Peer: "usher", CPU: 70, Busy: 95, Resident: 20},
	}, {
		{Work: "plain", Peer: "nginx", CPU: 10, Busy: 99},
		{Work: "plain", Peer: "usher", CPU: 11.5, Busy: 99},
	}}
	want := []verdict{
		{Name: "plain: usher / nginx", Measured: 1.15, Budget: 1.1, Word: "NOT MET", Least: 1.05, Most: 1.2},
		{Name: "jwt-cache: usher / nginx plain", Measured: 1.3, Budget: 1.2, Word: "NOT MET", Least: 1.3, Most: 1.3},
		{Name: "jwt-cache: usher / envoy", Measured: 0.26, Budget: 0.25, Word: "NOT MET", Least: 0.26, Most: 0.26},
		{Name: "mesh: usher / nginx", Measured: 0.7, Budget: 0.75, Word: "met, rough", Least: 0.7, Most: 0.7},
		{Name: "resident, largest (jwt-cache)", Measured: 26, Budget: 25, Unit: "MB", Word: "NOT MET"},
	}
	if d := cmp.Diff(want, judge(rounds)); d != "" {
		t.Error(d)
	}
	if got := judge(nil); got != nil {
		t.Errorf("of nothing: %v", got)
	}
}

func TestJoinKeepsTheBetterRound(t *testing.T) {
	calm := row{Rate: 10, P50: 5, CPU: 22, Resident: 12, Failed: 1, Busy: 97}
	calmFast := row{Rate: 12, P50: 4, CPU: 20, Resident: 11, Failed: 2, Busy: 95}
	disturbed := row{Rate: 14, P50: 3, CPU: 15, Resident: 14, Busy: 60}
	worse := row{Rate: 16, P50: 2, CPU: 14, Resident: 10, Busy: 20}
	for _, c := range []struct{ a, b, want row }{
		{calm, calmFast, row{Rate: 12, P50: 4, CPU: 20, Resident: 12, Failed: 3, Busy: 95}},
		{calm, disturbed, row{Rate: 10, P50: 5, CPU: 22, Resident: 14, Failed: 1, Busy: 97}},
		{disturbed, worse, disturbed},
	} {
		if got := c.a.join(c.b); got != c.want {
			t.Errorf("got %+v, want %+v", got, c.want)
		}
		if got := c.b.join(c.a); got != c.want {
			t.Errorf("the other way round: got %+v, want %+v", got, c.want)
		}
	}
}

// TestOnlyWholePairsCount: of a proxy that has failed in some round, neither a figure nor a
// budget is told.
func TestOnlyWholePairsCount(t *testing.T) {
	nginx, usher := row{Work: "plain", Peer: "nginx", Busy: 99}, row{Work: "plain", Peer: "usher", Busy: 99}
	rounds := func(r row, cpu ...float64) (all []row) {
		for _, r.CPU = range cpu {
			all = append(all, r)
		}
		return all
	}
	for _, tt := range []struct {
		measured [][]row
		want     []float64 // of the rows
		budgets  int
	}{
		{[][]row{rounds(nginx, 20, 10, 30), rounds(usher, 21, 22, 20)}, []float64{10, 20}, 1},
		{[][]row{rounds(nginx, 20, 10), rounds(usher, 21, 22, 20)}, []float64{20}, 0},
		{[][]row{nil, rounds(usher, 21, 22, 20)}, []float64{20}, 0},
	} {
		c := comparison{Rounds: 3}
		c.take(tt.measured)
		var got []float64
		for _, r := range c.Rows {
			got = append(got, r.CPU)
		}
		if d := cmp.Diff(tt.want, got); d != "" {
			t.Error(d)
		}
		if n := len(judge(c.rounds)); n != tt.budgets {
			t.Errorf("%v: %d budgets are judged, want %d", tt.measured, n, tt.budgets)
		}
	}
}

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		all  []float64
		want float64
	}{{[]float64{7}, 7}, {[]float64{3, 1, 2}, 2}, {[]float64{1.3, 0.9}, 1.1}, {[]float64{4, 1, 3, 2}, 2.5}} {
		if got := median(c.all); got != c.want {
			t.Errorf("the median of %v is %v, want %v", c.all, got, c.want)
		}
	}
}

func TestPercentile(t *testing.T) {
	fifty := make([]float64, 50)
	for i := range fifty {
		fifty[i] = float64(50 - i) // 50 ... 1
	}
	for _, c := range []struct {
		all  []float64
		p    int
		want float64
	}{
		{[]float64{7}, 50, 7}, {[]float64{7}, 99, 7}, {[]float64{3, 1, 2}, 50, 2}, {fifty, 50, 25}, {fifty, 99, 50}, {fifty, 2, 1},
	} {
		if got := percentile(c.all, c.p); got != c.want {
			t.Errorf("percentile(%v, %d) = %v, want %v", c.all, c.p, got, c.want)
		}
	}
}
