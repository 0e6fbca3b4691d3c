package overload

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// heap gives the memory that the runtime has from the system and has not given back, and
// of that what is free, in bytes. It stops nobody.
func heap() (held, free uint64) {
	s := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}, {Name: "/memory/classes/heap/free:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64() - s[1].Value.Uint64(), s[2].Value.Uint64()
}

func heapOf(limit uint64) func() (float64, error) {
	return func() (float64, error) {
		held, _ := heap()
		return float64(held) / float64(limit), nil
	}
}

// shrink gives free memory back to the system while its action is saturated.
type shrink struct {
	every time.Duration
	keep  uint64 // bytes that may stay free
	last  time.Time
}

func (s *shrink) look(active bool, now time.Time) {
	if !active || now.Sub(s.last) < s.every {
		return
	}
	s.last = now
	runtime.GC() // only then is what nobody uses free
	if _, free := heap(); free > s.keep {
		debug.FreeOSMemory()
	}
}
