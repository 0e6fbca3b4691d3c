package xds

import (
	"maps"
	"slices"
	"time"

	"github.com/usher-mesh/usher/internal/control/xdsgen"
)

// subscription is one kind of resource on one stream. Only the stream's deciding
// goroutine touches it.
type subscription struct {
	holding
	kind   kind
	active bool // asked for on this stream
	owed   bool // an answer is due even if it is empty: the first one
	// asked are names that must be answered even if they do not exist.
	asked map[string]struct{}
	// sent is the response that waits for its ACK or NACK.
	sent *push
	// rejected are versions that the client refused, by name. They are not
	// offered again.
	rejected map[string]rejection
	// settledOn is the map of which there is nothing left to send.
	settledOn resources
	// generation is the highest one that the client has acknowledged.
	generation uint64
}

type rejection struct{ version, message string }

// push is one response.
type push struct {
	nonce      string
	target     resources
	generation uint64
	items      []item
	size       int
	// rest tells that the response does not bring the client up to target.
	rest bool
	// heldBack tells that removals are among the rest.
	heldBack bool
	at       time.Time
}

// item is a resource, or a removal if resource is nil.
type item struct {
	name     string
	resource *xdsgen.Resource
}

func (i item) version() string {
	if i.resource == nil {
		return absent
	}
	return i.resource.Version
}

// how says what next may include.
type how struct {
	askedOnly    bool // an earlier kind must go first, but for names newly asked for
	holdRemovals bool // what is removed may still be named by another kind
	bytes        int  // about where a response ends
}

// next decides on the next response towards target. The answer has no items if
// there is nothing to send; then rest still says whether something waits.
func (s *subscription) next(target resources, compare *comparisons, h how) *push {
	p := &push{target: target}
	for _, name := range s.candidates(target, compare) {
		if !s.covers(name) {
			continue
		}
		r := target[name]
		want := versionIn(target, name)
		if rej, ok := s.rejected[name]; ok {
			if rej.version == want {
				delete(s.asked, name)
				continue
			}
			delete(s.rejected, name)
		}
		_, asked := s.asked[name]
		if s.version(name) == want && !asked {
			continue
		}
		if h.askedOnly && !asked {
			p.rest = true
			continue
		}
		if r == nil && h.holdRemovals && !asked {
			p.rest, p.heldBack = true, true
			continue
		}
		size := len(name) + 32
		if r != nil {
			size += len(r.Any.GetValue())
		}
		if len(p.items) > 0 && p.size+size > h.bytes {
			p.rest = true
			break
		}
		p.size += size
		p.items = append(p.items, item{name: name, resource: r})
	}
	return p
}

// candidates are the sorted names that could be due.
func (s *subscription) candidates(target resources, compare *comparisons) []string {
	changed := compare.between(s.base, target)
	if len(s.over) == 0 && len(s.asked) == 0 {
		return changed
	}
	all := make([]string, 0, len(changed)+len(s.over)+len(s.asked))
	all = append(all, changed...)
	all = slices.AppendSeq(all, maps.Keys(s.over))
	all = slices.AppendSeq(all, maps.Keys(s.asked))
	slices.Sort(all)
	return slices.Compact(all)
}

// settle notes that the client has all of target that it can take.
func (s *subscription) settle(target resources, generation uint64) {
	s.rebase(target)
	s.settledOn = target
	s.generation = max(s.generation, generation)
}

// settled says whether nothing of target is under way or due.
func (s *subscription) settled(target resources) bool {
	return !s.active || s.sent == nil && !s.owed && s.generation > 0 && same(s.settledOn, target)
}

// acked takes the client's answer to the response that waits for one. Names in
// refused keep what they had and are not offered again in that version.
func (s *subscription) acked(refused map[string]string, certain bool) {
	p := s.sent
	s.sent = nil
	had := make(map[string]string, len(refused))
	for n := range refused {
		had[n] = s.version(n)
	}
	for _, i := range p.items {
		message, bad := refused[i.name]
		_, again := s.asked[i.name]
		switch {
		case bad && i.resource != nil:
			if s.rejected == nil {
				s.rejected = map[string]rejection{}
			}
			s.rejected[i.name] = rejection{version: i.version(), message: message}
			if !certain {
				had[i.name] = unknown
			}
			s.set(i.name, had[i.name])
		case again || !s.covers(i.name):
			// Asked for anew, or given up, since the response was sent.
		case p.rest:
			s.set(i.name, i.version())
		default:
			s.forget(i.name)
		}
	}
	if !p.rest {
		s.rebase(p.target)
		s.generation = max(s.generation, p.generation)
	}
}
