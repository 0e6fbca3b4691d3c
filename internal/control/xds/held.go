package xds

import (
	"cmp"
	"slices"

	"github.com/usher-mesh/usher/internal/mesh"
)

// Held is a resource that a proxy is to have.
type Held struct {
	Type    string     `json:"type"`
	Name    string     `json:"name"`
	Version string     `json:"version"`
	Origins []mesh.Ref `json:"origins,omitempty"`
}

// Held lists what a connected proxy is to have, without contents; false if it is
// not connected.
func (s *Server) Held(namespace, name string) ([]Held, bool) {
	var list []Held
	found := false
	s.each(func(st *stream, p *progress) {
		if found || st.node.namespace != namespace || st.node.name != name {
			return
		}
		found = true
		for k, url := range typeURLs {
			for _, r := range p.set.ByType[url] {
				list = append(list, Held{Type: kind(k).label(), Name: r.Name, Version: r.Version, Origins: r.Origins})
			}
		}
	})
	slices.SortFunc(list, func(a, b Held) int { return cmp.Or(cmp.Compare(a.Type, b.Type), cmp.Compare(a.Name, b.Name)) })
	return list, found
}
