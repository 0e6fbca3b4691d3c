package xds

import (
	"cmp"
	"slices"
	"time"

	"github.com/usher-mesh/usher/internal/control/xdsgen"
	"github.com/usher-mesh/usher/internal/mesh"
)

// progress is what others may know of a stream.
type progress struct {
	let       bool // in
	since     time.Time
	set       *xdsgen.Set
	acked     uint64
	byKind    [kinds]uint64
	active    [kinds]bool
	nacks     uint64
	rejected  []Rejection
	rejectedN int
}

// Rejection is a resource that a proxy refuses in its newest version.
type Rejection struct {
	Proxy    string `json:"proxy"` // namespace/name
	Type     string `json:"type"`
	Resource string `json:"resource"`
	Version  string `json:"version"`
	Message  string `json:"message"`
	// Origins are the objects that the resource comes from now: also those that
	// came to it after the proxy had refused it.
	Origins []mesh.Ref `json:"origins"`
}

// Proxy is one connected proxy.
type Proxy struct {
	Node           string            `json:"node"`
	Namespace      string            `json:"namespace"`
	Name           string            `json:"name"`
	ServiceAccount string            `json:"serviceAccount"`
	ConnectedSince time.Time         `json:"connectedSince"`
	Generation     uint64            `json:"generation"` // newest that was made for it
	Acked          uint64            `json:"acked"`      // newest that it has all of
	AckedByType    map[string]uint64 `json:"ackedByType"`
	Nacks          uint64            `json:"nacks"`
	Rejected       []Rejection       `json:"rejected,omitempty"`
}

// publish makes the stream's progress visible, and tells of it if it changed. A
// since that is not zero lets the stream in.
func (st *stream) publish(since time.Time) {
	var byKind [kinds]uint64
	var active [kinds]bool
	rejected := 0
	for k := range st.subs {
		byKind[k], active[k] = st.subs[k].generation, st.subs[k].active
		rejected += len(st.subs[k].rejected)
	}
	// A proxy that has not asked for clusters and listeners has nothing yet.
	acked := min(byKind[clusters], byKind[listeners])
	for k := range byKind {
		if active[k] {
			acked = min(acked, byKind[k])
		}
	}
	if !st.routesAsked() {
		acked = min(acked, st.set.Generation-1)
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	p := &st.state
	changed := p.acked != acked || p.nacks != st.nacks || p.rejectedN != rejected
	if !since.IsZero() {
		p.let, p.since = true, since
	}
	if p.nacks != st.nacks || p.rejectedN != rejected || rejected > 0 && p.set != st.set {
		p.rejected = st.rejections()
	}
	p.set, p.acked, p.byKind, p.active = st.set, acked, byKind, active
	p.nacks, p.rejectedN = st.nacks, rejected
	if changed && p.let {
		st.server.progressed()
	}
}

// routesAsked says whether the proxy wants the routes of its listeners. Between
// the listener's ACK and that request it has a listener without routes. With a
// listener refused, its routes may never be asked for.
func (st *stream) routesAsked() bool {
	if len(st.subs[listeners].rejected) > 0 {
		return true
	}
	for name := range st.set.ByType[typeURLs[routes]] {
		if !st.subs[routes].covers(name) {
			return false
		}
	}
	return true
}

func (st *stream) rejections() []Rejection {
	var out []Rejection
	for k := range st.subs {
		for n, r := range st.subs[k].rejected {
			x := Rejection{
				Proxy: st.node.namespace + "/" + st.node.name, Type: kind(k).label(),
				Resource: n, Version: r.version, Message: r.message,
			}
			if now := st.set.ByType[typeURLs[k]][n]; now != nil {
				x.Origins = now.Origins
			}
			out = append(out, x)
		}
	}
	slices.SortFunc(out, func(a, b Rejection) int {
		return cmp.Or(cmp.Compare(a.Type, b.Type), cmp.Compare(a.Resource, b.Resource))
	})
	return out
}

func (s *Server) each(f func(*stream, *progress)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for st := range s.streams {
		st.mu.Lock()
		if st.state.let {
			f(st, &st.state)
		}
		st.mu.Unlock()
	}
}

// Proxies lists the connected proxies by namespace and name.
func (s *Server) Proxies() []Proxy {
	out := []Proxy{}
	s.each(func(st *stream, p *progress) {
		x := Proxy{
			Node: st.node.id, Namespace: st.node.namespace, Name: st.node.name,
			ServiceAccount: st.caller.serviceAccount, ConnectedSince: p.since,
			Generation: p.set.Generation, Acked: p.acked, AckedByType: map[string]uint64{},
			Nacks: p.nacks, Rejected: p.rejected,
		}
		for k := range p.byKind {
			if p.active[k] {
				x.AckedByType[kind(k).label()] = p.byKind[k]
			}
		}
		out = append(out, x)
	})
	slices.SortFunc(out, func(a, b Proxy) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name), a.ConnectedSince.Compare(b.ConnectedSince))
	})
	return out
}

// Lag is a proxy that has not acknowledged a generation.
type Lag struct {
	Proxy string // namespace/name
	Since time.Time
}

// Standing is where an object stands with the proxies that it concerns.
type Standing struct {
	Concerned int
	Lagging   []Lag       // sorted by name
	Rejected  []Rejection // sorted by proxy
}

// Standing tells which connected proxies have resources that come from ref, which
// of them have not all of generation yet, and which refuse one.
func (s *Server) Standing(ref mesh.Ref, generation uint64) Standing {
	var out Standing
	s.each(func(st *stream, p *progress) {
		// What an older set says of the object may not be so any more.
		if p.set.Generation >= generation && !s.concerns(p.set, ref) {
			return
		}
		out.Concerned++
		if p.acked < generation {
			out.Lagging = append(out.Lagging, Lag{Proxy: st.node.namespace + "/" + st.node.name, Since: p.since})
		}
		for _, r := range p.rejected {
			if slices.Contains(r.Origins, ref) {
				out.Rejected = append(out.Rejected, r)
			}
		}
	})
	slices.SortFunc(out.Lagging, func(a, b Lag) int { return cmp.Compare(a.Proxy, b.Proxy) })
	slices.SortStableFunc(out.Rejected, func(a, b Rejection) int { return cmp.Compare(a.Proxy, b.Proxy) })
	return out
}

func (s *Server) concerns(set *xdsgen.Set, ref mesh.Ref) bool {
	for _, url := range typeURLs {
		if s.origins.has(set.ByType[url], ref) {
			return true
		}
	}
	return false
}
