package status

import (
	"maps"
	"slices"
	"time"

	"github.com/usher-mesh/usher/internal/mesh"
)

// keeper knows of each object what should be written and what was. One goroutine
// uses it.
type keeper struct {
	*Writer
	objects  map[mesh.Ref]*object
	warnings map[mesh.Ref][]string
	judged   time.Time // last judgement of what is undecided
	all      bool      // everything is to be judged
	allBy    time.Time // when all becomes true; zero: not planned
}

// object is one that has a status.
type object struct {
	status    mesh.Status
	needs     uint64    // generation of the model that first had this state of it
	since     time.Time // when that was handed in
	want      outcome
	decided   bool
	written   outcome
	wrote     time.Time
	working   bool
	failures  int
	notBefore time.Time // after a failure
}

// take reads what callers handed in.
func (k *keeper) take() {
	k.mu.Lock()
	next, warned, warnings := k.next, k.warned, k.warnings
	if warned {
		warnings = k.Writer.warnings
	}
	k.next, k.warned = nil, false
	k.mu.Unlock()
	k.warnings, k.all = warnings, true
	if next == nil {
		return
	}
	now := k.o.Now()
	seen := make(map[mesh.Ref]struct{}, len(next.statuses))
	for _, s := range next.statuses {
		seen[s.Ref] = struct{}{}
		o := k.objects[s.Ref]
		if o == nil || o.status.UID != s.UID {
			working := o != nil && o.working
			o = &object{working: working}
			k.objects[s.Ref] = o
		}
		if o.needs == 0 || o.status.Generation != s.Generation || o.status.Accepted != s.Accepted {
			o.needs, o.since, o.decided = next.generation, now, false
		}
		o.status = s
	}
	maps.DeleteFunc(k.objects, func(r mesh.Ref, _ *object) bool {
		_, ok := seen[r]
		return !ok
	})
}

func (k *keeper) reviewBy(t time.Time) {
	if k.allBy.IsZero() {
		k.allBy = t
	}
}

// turn judges, hands out writes, and says when to come again.
func (k *keeper) turn() time.Duration {
	now := k.o.Now()
	if !k.allBy.IsZero() && !now.Before(k.allBy) {
		k.all, k.allBy = true, time.Time{}
	}
	wait := time.Minute
	sooner := func(d time.Duration) { wait = min(wait, max(d, time.Millisecond)) }
	if !k.allBy.IsZero() {
		sooner(k.allBy.Sub(now))
	}
	judge := k.all || now.Sub(k.judged) >= pace
	undecided := false
	for ref, o := range k.objects {
		if judge && (k.all || !o.decided) {
			k.judge(ref, o, now)
		}
		undecided = undecided || !o.decided
		if at, due := o.due(now); due && !now.Before(at) {
			if !k.hand(ref, o) {
				sooner(pace) // the queue is full
			}
		} else if due {
			sooner(at.Sub(now))
		}
	}
	if judge {
		k.judged, k.all = now, false
	} else if undecided {
		sooner(pace)
	}
	if undecided {
		sooner(acceptedAlone)
	}
	return wait
}

// judge decides what should be written, and whether that may still change by
// waiting.
func (k *keeper) judge(ref mesh.Ref, o *object, now time.Time) {
	o.want = outcome{generation: o.status.Generation, accepted: accepted(&o.status, k.warnings[ref])}
	p, ok := programmed(&o.status, func() standing { return k.o.Proxies.Standing(ref, o.needs) }, o.since, now)
	o.decided = ok
	if ok {
		o.want.programmed = p
		return
	}
	// What was found before stands until it is known better.
	o.want.programmed = o.written.programmed
	if o.written.generation != o.want.generation {
		o.want.programmed = condition{}
	}
}

// due says whether there is something to write, and from when on.
func (o *object) due(now time.Time) (time.Time, bool) {
	if o.working || o.want == o.written || o.want.accepted.status == "" {
		return time.Time{}, false
	}
	at := now
	if o.want.verdict() == o.written.verdict() {
		at = o.wrote.Add(apart)
	}
	if !o.decided && o.want.programmed.status == "" {
		at = later(at, o.since.Add(acceptedAlone))
	}
	return later(at, o.notBefore), true
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func (k *keeper) hand(ref mesh.Ref, o *object) bool {
	select {
	case k.jobs <- job{ref: ref, uid: o.status.UID, outcome: o.want}:
		o.working = true
		return true
	default:
		return false
	}
}

// finished notes what became of a write.
func (k *keeper) finished(r result) {
	o := k.objects[r.ref]
	if o == nil {
		return
	}
	o.working = false
	if o.status.UID != r.uid {
		return
	}
	if r.err == nil {
		o.written, o.failures = r.outcome, 0
		if r.wrote {
			o.wrote = k.o.Now()
		}
		return
	}
	o.failures++
	delay := min(30*time.Second, 100*time.Millisecond<<min(o.failures, 10))
	o.notBefore = k.o.Now().Add(delay)
	if o.failures == 3 {
		k.o.Log.Warn("cannot write an object's status", "kind", r.ref.Kind, "namespace", r.ref.Namespace, "name", r.ref.Name, "error", r.err)
	}
}

// names joins up to five names.
func names(all []string) []string {
	slices.Sort(all)
	return slices.Compact(all)
}
