package lb

import (
	"fmt"
	"testing"
)

// TestSpread has the tables of Envoy's documentation (priority levels, panic threshold,
// degraded endpoints).
func TestSpread(t *testing.T) {
	for _, tt := range []struct {
		name   string
		levels []Level
		panic  uint32
		want   string // healthy+degraded of each priority, "!" in panic
	}{
		{"whole", []Level{{100, 100, 0, 0}, {100, 100, 0, 0}}, 50, "100+0 0+0"},
		{"enough", []Level{{100, 72, 0, 0}, {100, 72, 0, 0}}, 50, "100+0 0+0"},
		{"spill", []Level{{100, 71, 0, 0}, {100, 71, 0, 0}}, 50, "99+0 1+0"},
		{"half", []Level{{100, 50, 0, 0}, {100, 50, 0, 0}}, 50, "70+0 30+0"},
		{"one eats all", []Level{{100, 25, 0, 0}, {100, 100, 0, 0}}, 50, "35+0 65+0"},
		{"too little", []Level{{100, 25, 0, 0}, {100, 25, 0, 0}}, 0, "50+0 50+0"},
		{"three", []Level{{100, 5, 0, 0}, {100, 0, 0, 0}, {100, 65, 0, 0}}, 50, "8+0! 0+0! 92+0"},
		{"both panic", []Level{{5, 1, 0, 0}, {15, 1, 0, 0}}, 50, "25+0! 75+0!"},
		{"none", []Level{{2, 0, 0, 0}}, 50, "100+0!"},
		{"none, no panic", []Level{{2, 0, 0, 0}, {2, 0, 0, 0}}, 0, "100+0 0+0"},
		{"nobody", []Level{{0, 0, 0, 0}}, 50, "100+0!"},
		{"empty first", []Level{{0, 0, 0, 0}, {2, 2, 0, 0}}, 50, "0+0 100+0"},
		{"degraded", []Level{{100, 0, 100, 0}}, 50, "0+100"},
		{"excluded do not count", []Level{{100, 40, 0, 60}, {100, 100, 0, 0}}, 50, "100+0 0+0"},
		{"excluded and unhealthy", []Level{{4, 1, 0, 2}, {1, 1, 0, 0}}, 50, "70+0 30+0"},
		{"all excluded", []Level{{2, 0, 0, 2}}, 50, "100+0!"},
		{"degraded aside", []Level{{100, 75, 25, 0}}, 50, "100+0"},
		{"degraded of the first before nobody", []Level{{100, 50, 20, 0}, {100, 10, 0, 0}}, 50, "70+16 14+0"},
	} {
		got := ""
		for i, l := range Spread(tt.levels, DefaultOverprovisioning, tt.panic) {
			if i > 0 {
				got += " "
			}
			got += fmt.Sprintf("%d+%d", l.Healthy, l.Degraded)
			if l.Panic {
				got += "!"
			}
		}
		if got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}

func FuzzSpread(f *testing.F) {
	f.Add(uint16(3), uint16(1), uint16(1), uint16(5), uint16(0), uint16(2), uint32(140), uint32(50))
	f.Add(uint16(76), uint16(17), uint16(0), uint16(5), uint16(0), uint16(2), uint32(0), uint32(50)) // nothing counts
	f.Fuzz(func(t *testing.T, a, h, d, a2, h2, d2 uint16, over, panic uint32) {
		level := func(all, healthy, degraded uint16) Level {
			healthy = min(healthy, all)
			degraded = min(degraded, all-healthy)
			return Level{int(all), int(healthy), int(degraded), int(all-healthy-degraded) / 2}
		}
		loads := Spread([]Level{level(a, h, d), level(a2, h2, d2)}, over, panic%101)
		sum := uint32(0)
		for _, l := range loads {
			sum += l.Healthy + l.Degraded
		}
		if sum != 100 {
			t.Errorf("%v: %d percent", loads, sum)
		}
	})
}

func TestChoose(t *testing.T) {
	loads := []Load{{Healthy: 50}, {Healthy: 20, Degraded: 30}}
	got := map[string]int{}
	for n := range uint64(100) {
		p, degraded := Choose(loads, n+1234500)
		got[fmt.Sprint(p, degraded)]++
	}
	if want := (map[string]int{"0 false": 50, "1 false": 20, "1 true": 30}); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%v, want %v", got, want)
	}
}
