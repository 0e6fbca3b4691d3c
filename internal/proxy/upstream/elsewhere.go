package upstream

import "github.com/usher-mesh/usher/internal/proxy/upstream/lb"

// Elsewhere is what is known of the priorities that a request has gone to, so that it goes to
// others when it is sent again (Envoy's previous_priorities).
type Elsewhere struct {
	every int // after so many tries it is looked anew which priorities are left
	last  int // that an endpoint was chosen from
	tried []int
	spent []bool
	left  []lb.Load // as it was last looked,
	of    *hostSet  // at these endpoints
}

// NewElsewhere looks which priorities are left after so many tries each, of which there is at
// least one.
func NewElsewhere(every int) *Elsewhere { return &Elsewhere{every: every} }

// Tried notes that the endpoint chosen last was tried.
func (e *Elsewhere) Tried() { e.tried = append(e.tried, e.last) }

// loads shares the load among the priorities that are left; if none is, among all of them again.
func (e *Elsewhere) loads(s *hostSet) []lb.Load {
	if len(e.tried) < e.every {
		return s.loads
	}
	if len(e.tried)%e.every == 0 || e.of != s { // others have come meanwhile
		e.look(s)
	}
	if e.left == nil { // nobody answers
		return s.loads
	}
	return e.left
}

func (e *Elsewhere) look(s *hostSet) {
	for _, i := range e.tried[:len(e.tried)-len(e.tried)%e.every] {
		for len(e.spent) <= i {
			e.spent = append(e.spent, false)
		}
		e.spent[i] = true
	}
	var ok bool
	e.of = s
	if e.left, ok = lb.Without(e.spent, s.counts, s.assignment.overprovisioning); !ok {
		clear(e.spent)
		e.tried = e.tried[:0]
		e.left, _ = lb.Without(nil, s.counts, s.assignment.overprovisioning)
	}
}
