package counters

import (
	"fmt"
	"slices"
	"testing"
)

type of struct {
	A Counter   `stat:"a"`
	G Gauge     `stat:"g"`
	H Histogram `stat:"h"`
	C Classes   `stat:"rq_"`
	D Codes     `stat:"up_rq_"`
}

// A group goes on when it is asked for again, is told under its names, and goes with its
// owner.
func TestGroup(t *testing.T) {
	var s Set
	s.Hold(Cluster, "c")
	g := Group[of](&s, Cluster, "c")
	g.A.Inc()
	g.G.Add(2)
	g.G.Add(-1)
	g.H.Observe(7)
	g.H.Observe(1e9)
	for _, n := range []int{100, 204, 299, 503, 99, 600, -1} {
		g.C.Inc(n)
		g.D.Inc(n)
	}
	if Group[of](&s, Cluster, "c") != g || Group[of](&s, Cluster, "d") == g || Group[of](nil, Cluster, "c") == g {
		t.Error("whose a group is")
	}
	s.Release(Cluster, "d")
	var got []string
	for _, v := range s.List() {
		if v.Histogram != nil {
			counts, sum := v.Histogram.Load()
			got = append(got, fmt.Sprint(v.Of, " ", v.Name.Name, " ", counts[3], counts[19], " ", sum))
			continue
		}
		got = append(got, fmt.Sprint(v.Of, " ", v.Name.Name, " ", v.Value))
	}
	want := []string{"c a 1", "c g 1", "c h 1 1 1.000000007e+09", "c rq_1xx 1", "c rq_2xx 2", "c rq_3xx 0", "c rq_4xx 0", "c rq_5xx 1", "c rq_completed 4",
		"c up_rq_100 1", "c up_rq_1xx 1", "c up_rq_204 1", "c up_rq_299 1", "c up_rq_2xx 2", "c up_rq_503 1", "c up_rq_5xx 1", "c up_rq_completed 4"}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	s.Release(Cluster, "c")
	if l := s.List(); len(l) != 0 {
		t.Errorf("left: %v", l)
	}
}

func BenchmarkGroup(b *testing.B) {
	var s Set
	g := Group[of](&s, Cluster, "c")
	b.ReportAllocs()
	for b.Loop() {
		g.A.Inc()
		g.G.Add(1)
		g.H.Observe(7)
		g.D.Inc(200)
		g.G.Add(-1)
	}
}
