package translate

import "github.com/usher-mesh/usher/internal/mesh"

// contests are how objects fare at the workloads that they are for, against
// others of the same rank.
type contests map[mesh.Ref]*contest

type contest struct {
	wins bool     // somewhere
	by   mesh.Ref // an older one that wins against it somewhere
}

// note files that, of two objects for one place, winner is in force. They are one
// and the same if there is no other.
func (c contests) note(ref, winner mesh.Ref) {
	if c[ref] == nil {
		c[ref] = &contest{}
	}
	switch {
	case ref == winner:
		c[ref].wins = true
	case c[ref].by == mesh.Ref{}:
		c[ref].by = winner
	}
}

// hold compares what is for one workload.
func (c contests) hold(m *match) {
	first := m.firstPeers()
	for _, a := range m.peers {
		c.note(a.ref, first[a.scope()].ref)
	}
	var won *claims
	for _, t := range m.targets {
		for _, pol := range t.policies {
			if won == nil {
				won = m.claims()
			}
			m.claimed(t, pol, func(port uint16, rank int, found bool) {
				winner := won.lost
				if found {
					winner = won.ports[port][rank]
				}
				c.note(pol.ref, winner.ref)
			})
		}
	}
}

// reportLosers refuses what wins at none of its workloads.
func (p *pass) reportLosers() {
	for ref, c := range p.contests {
		switch {
		case c.by == mesh.Ref{}:
		case c.wins:
			p.found.warn(ref, "the older %s %q wins against it at some workload or port", c.by.Kind, c.by.Name)
		default:
			p.found.refuse(ref, reasonConflicted, "the older %s %q wins against it wherever it applies", c.by.Kind, c.by.Name)
		}
	}
}
