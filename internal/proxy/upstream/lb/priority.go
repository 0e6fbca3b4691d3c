package lb

// Level is what a priority has, in endpoints.
type Level struct {
	All, Healthy, Degraded int
	// Excluded ones of All do not count where health is judged.
	Excluded int
}

// Load is a priority's part of the requests.
type Load struct {
	Healthy, Degraded uint32 // to its healthy and degraded endpoints, in percent
	// Panic tells that so few endpoints are healthy that those that are not are asked too.
	Panic bool
}

// DefaultOverprovisioning and DefaultPanic are Envoy's, in percent.
const (
	DefaultOverprovisioning = 140
	DefaultPanic            = 50
)

// Spread gives the loads of priorities, highest first, of which there is at least one. A
// priority that is not healthy enough gives the rest to the next one. How healthy it is
// counts times overprovisioning (percent); below the share of panic (percent) it panics.
// All loads add up to 100.
func Spread(levels []Level, overprovisioning, panic uint32) []Load {
	loads := make([]Load, len(levels))
	healthy, degraded, total := available(levels, overprovisioning, nil)
	if total == 0 {
		loads[0].Healthy = 100 // nobody answers
		if panic == 0 {
			return loads
		}
	} else {
		distribute(loads, healthy, degraded, total)
	}
	all := true
	for i, l := range levels {
		n := float64(l.All - l.Excluded)
		loads[i].Panic = total < 100 && (n == 0 || 100*float64(l.Healthy)/n+100*float64(l.Degraded)/n < float64(panic))
		all = all && loads[i].Panic
	}
	if all {
		bySize(loads, levels)
	}
	return loads
}

// Without is Spread where some priorities are to have nothing. False: the others have nobody who
// could answer.
func Without(spent []bool, levels []Level, overprovisioning uint32) (loads []Load, ok bool) {
	healthy, degraded, total := available(levels, overprovisioning, spent)
	if total == 0 {
		return nil, false
	}
	loads = make([]Load, len(levels))
	distribute(loads, healthy, degraded, total)
	return loads, true
}

// available tells how much of the load each priority bears, in percent, and all of them
// together, which is at most 100. Those that are spent bear nothing.
func available(levels []Level, overprovisioning uint32, spent []bool) (healthy, degraded []uint32, total uint32) {
	healthy, degraded = make([]uint32, len(levels)), make([]uint32, len(levels))
	for i, l := range levels {
		if n := uint64(l.All - l.Excluded); n > 0 && (i >= len(spent) || !spent[i]) {
			healthy[i] = uint32(min(100, uint64(overprovisioning)*uint64(l.Healthy)/n))
			degraded[i] = uint32(min(100, uint64(overprovisioning)*uint64(l.Degraded)/n))
		}
		total = min(100, total+healthy[i]+degraded[i])
	}
	return healthy, degraded, total
}

// distribute gives healthy endpoints of high priorities as much as they bear, then
// degraded ones; what rounding leaves goes to the first that has anything.
func distribute(loads []Load, healthy, degraded []uint32, total uint32) {
	left := uint32(100)
	var first *uint32
	give := func(load *uint32, available uint32) {
		*load = min(left, available*100/total)
		left -= *load
		if first == nil && available > 0 {
			first = load
		}
	}
	for i := range loads {
		give(&loads[i].Healthy, healthy[i])
	}
	for i := range loads {
		give(&loads[i].Degraded, degraded[i])
	}
	*first += left
}

// bySize shares load by the number of endpoints, whatever their health.
func bySize(loads []Load, levels []Level) {
	sum := 0
	for _, l := range levels {
		sum += l.All
	}
	left, first := uint32(100), 0
	for i := len(levels) - 1; i >= 0; i-- {
		loads[i].Healthy, loads[i].Degraded = 0, 0
		if levels[i].All > 0 {
			first = i
			loads[i].Healthy = uint32(100 * levels[i].All / sum)
			left -= loads[i].Healthy
		}
	}
	loads[first].Healthy += left
}

// Choose gives the priority for a number, and whether its degraded endpoints are meant.
func Choose(loads []Load, n uint64) (priority int, degraded bool) {
	n = n%100 + 1
	sum := uint64(0)
	for i := range loads {
		if sum += uint64(loads[i].Healthy); n <= sum {
			return i, false
		}
	}
	for i := range loads {
		if sum += uint64(loads[i].Degraded); n <= sum {
			return i, true
		}
	}
	return 0, false
}
