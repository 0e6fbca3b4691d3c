package lb

import (
	"fmt"
	"sync/atomic"
	"testing"
)

func entries(weights ...float64) []Entry {
	out := make([]Entry, len(weights))
	for i, w := range weights {
		out[i] = Entry{Weight: w, Key: fmt.Sprintf("127.0.0.1:%d", 8000+i), Active: new(atomic.Int64)}
	}
	return out
}

// shares makes weights add up to 1.
func shares(es []Entry) []Entry {
	sum := 0.0
	for _, e := range es {
		sum += e.Weight
	}
	for i := range es {
		es[i].Weight /= sum
	}
	return es
}

func count(b Balancer, n, picks int) []int {
	got := make([]int, n)
	for range picks {
		got[b.Pick(0, 0)]++
	}
	return got
}

// TestTurns holds that a round robin is exact over each round, however large weights
// are and wherever it begins.
func TestTurns(t *testing.T) {
	for _, tt := range []struct {
		weights []float64
		picks   int
		want    string
	}{
		{[]float64{1}, 7, "[7]"},
		{[]float64{5, 5, 5}, 60, "[20 20 20]"},
		{[]float64{30, 10, 20}, 60, "[30 10 20]"},
		{[]float64{3, 1}, 400, "[300 100]"},
	} {
		for range 20 {
			if got := fmt.Sprint(count(RoundRobin{}.New(entries(tt.weights...)), len(tt.weights), tt.picks)); got != tt.want {
				t.Errorf("%v: %s, want %s", tt.weights, got, tt.want)
			}
		}
	}
	got := count(RoundRobin{}.New(entries(1<<32-1, 1)), 2, 100_000)
	if got[1] > 1 {
		t.Errorf("an entry of weight 1 beside one of 2^32-1 came %d times of 100000", got[1])
	}
}

// TestMixed holds that a heavy entry does not come in one row: never more often than its
// weight holds others', whatever chance begins with.
func TestMixed(t *testing.T) {
	b := RoundRobin{}.New(entries(3, 1, 1, 1))
	row, longest := 0, 0
	for range 600 {
		if b.Pick(0, 0) == 0 {
			row++
			longest = max(longest, row)
		} else {
			row = 0
		}
	}
	if longest > 3 {
		t.Errorf("%d times in a row", longest)
	}
}

func TestLeastRequest(t *testing.T) {
	es := entries(1, 1, 1, 1)
	es[0].Active.Store(3)
	es[1].Active.Store(2)
	es[2].Active.Store(2)
	es[3].Active.Store(5)
	got := count(LeastRequest{All: true, Bias: 1}.New(es), 4, 1000)
	if got[0]+got[3] > 0 || got[1] < 400 || got[2] < 400 {
		t.Errorf("full scan: %v", got)
	}
	got = count(LeastRequest{Choices: 2, Bias: 1}.New(es), 4, 4000)
	// The busiest is asked only if both choices are it.
	if got[3] > 400 || got[3] == 0 || got[1] < 1000 {
		t.Errorf("two choices: %v", got)
	}
	if got = count(LeastRequest{Choices: 8, Bias: 1}.New(es), 4, 4000); got[3] > 20 {
		t.Errorf("eight choices: %v", got)
	}
}

// TestBias holds that active requests lower an unequal weight by the power of the bias.
func TestBias(t *testing.T) {
	for _, tt := range []struct {
		bias float64
		want string
	}{{0, "[600 300]"}, {1, "[300 600]"}, {2, "[100 800]"}} {
		es := entries(2, 1)
		es[0].Active.Store(3)
		if got := count(LeastRequest{Choices: 2, Bias: tt.bias}.New(es), 2, 900); fmt.Sprint(got) != tt.want {
			t.Errorf("bias %v: %v, want %s", tt.bias, got, tt.want)
		}
	}
}

func TestRandom(t *testing.T) {
	got := count(Random{}.New(entries(100, 1)), 2, 1000)
	if got[0] < 400 || got[1] < 400 {
		t.Errorf("%v: weights matter", got)
	}
}

// TestHashing holds that a hash keeps its entry, that shares are as the weights say, and
// that few hashes move if an entry goes.
func TestHashing(t *testing.T) {
	const hashes = 20_000
	hash := func(i int) uint64 { return murmur2([]byte(fmt.Sprint("h", i)), 1) }
	for _, p := range []Policy{Ring{Min: 1024, Max: MaxRing}, Ring{Min: 1024, Max: MaxRing, Murmur: true}, Maglev{Size: DefaultTable}} {
		t.Run(fmt.Sprintf("%T%v", p, p), func(t *testing.T) {
			es := shares(entries(1, 1, 2, 1, 1))
			all := p.New(es)
			less := p.New(shares(append([]Entry(nil), es[:4]...)))
			got, moved := make([]int, 5), 0
			for i := range hashes {
				was := all.Pick(hash(i), 0)
				got[was]++
				if was < 4 && less.Pick(hash(i), 0) != was {
					moved++
				}
			}
			for i, n := range got {
				if want := es[i].Weight * hashes; float64(n) < want*0.75 || float64(n) > want*1.25 {
					t.Errorf("entry %d has %d hashes, should have some %.0f", i, n, want)
				}
			}
			if moved > hashes/10 {
				t.Errorf("%d of %d hashes moved between entries that stayed", moved, hashes)
			}
			other := false
			for try := range 8 {
				other = other || all.Pick(hash(1), try) != all.Pick(hash(1), 0)
			}
			if !other {
				t.Error("no attempt gives another entry")
			}
		})
	}
}

// TestRingBounds holds that a ring of less points than entries can be asked.
func TestRingBounds(t *testing.T) {
	b := Ring{Min: 1, Max: 3}.New(shares(entries(1, 1, 1, 1, 1, 1)))
	if n := len(b.(ring)); n != 3 {
		t.Errorf("%d points", n)
	}
	b.Pick(1<<64-1, 0)
	b.Pick(0, 1000)
}

func TestNoAllocation(t *testing.T) {
	for _, p := range []Policy{RoundRobin{}, LeastRequest{Choices: 2, Bias: 1}, LeastRequest{All: true}, Random{}, Ring{Min: 64, Max: 64}, Maglev{Size: 61}} {
		for _, es := range [][]Entry{entries(1, 1, 1), entries(1, 2, 3)} {
			b := p.New(shares(es))
			if n := testing.AllocsPerRun(100, func() { b.Pick(17, 0) }); n > 0 {
				t.Errorf("%T%v: %v allocations", p, p, n)
			}
		}
	}
}

func BenchmarkPick(b *testing.B) {
	many := make([]float64, 100)
	for i := range many {
		many[i] = float64(i%7 + 1)
	}
	same := make([]float64, 100)
	for i := range same {
		same[i] = 1
	}
	for _, c := range []struct {
		name    string
		p       Policy
		weights []float64
	}{
		{"turns", RoundRobin{}, same}, {"edf", RoundRobin{}, many}, {"least", LeastRequest{Choices: 2, Bias: 1}, same},
		{"ring", Ring{Min: 1024, Max: MaxRing}, same}, {"maglev", Maglev{Size: DefaultTable}, same},
	} {
		b.Run(c.name, func(b *testing.B) {
			l := c.p.New(shares(entries(c.weights...)))
			h := uint64(1)
			for b.Loop() {
				h = h*0x9e3779b97f4a7c15 + 1
				l.Pick(h, 0)
			}
		})
	}
}
