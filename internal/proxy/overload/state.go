package overload

import (
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"
)

// Fraction is a share between 0 and 1, which costs one load to ask while it is 0.
type Fraction struct {
	share atomic.Uint32
	hits  atomic.Uint64
}

// Hit tells, for this share of the calls, true.
func (f *Fraction) Hit() bool {
	v := f.share.Load()
	if v == 0 || v != math.MaxUint32 && rand.Uint32() >= v {
		return false
	}
	f.hits.Add(1)
	return true
}

// Hits counts how often Hit was true.
func (f *Fraction) Hits() uint64 { return f.hits.Load() }

func (f *Fraction) set(x float64) { f.share.Store(uint32(min(max(x, 0), 1) * math.MaxUint32)) }

// State is what those who serve ask. The zero value refuses nothing.
type State struct {
	Requests    Fraction // are answered 503
	KeepAlive   Fraction // of answers, are the last of their connections
	Connections Fraction // are closed as soon as they are accepted

	max    int64 // connections of all listeners; 0: no bound; less: none
	open   atomic.Int64
	excess atomic.Uint64

	mu      sync.Mutex
	stopped chan struct{} // closed when connections are accepted again; nil: they are
}

// Bound lets at most so many connections be open, or fewer if that was said before. It
// is not for when somebody asks already.
func (s *State) Bound(n int64) {
	if n == 0 {
		n = -1
	}
	if s.max == 0 || n < s.max {
		s.max = n
	}
}

// Enter counts a connection, until Leave, or says that there are too many.
func (s *State) Enter() bool {
	if s.Connections.Hit() {
		return false
	}
	if n := s.open.Add(1); s.max != 0 && n > s.max {
		s.open.Add(-1)
		s.excess.Add(1)
		return false
	}
	return true
}

// Leave ends what Enter began.
func (s *State) Leave() { s.open.Add(-1) }

// Open counts the connections, Refused those that Enter refused.
func (s *State) Open() int64     { return s.open.Load() }
func (s *State) Refused() uint64 { return s.excess.Load() + s.Connections.Hits() }

// Stopped gives what is closed when connections are accepted again, nil if they are.
func (s *State) Stopped() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stopped
}

func (s *State) accept(yes bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case yes && s.stopped != nil:
		close(s.stopped)
		s.stopped = nil
	case !yes && s.stopped == nil:
		s.stopped = make(chan struct{})
	}
}
