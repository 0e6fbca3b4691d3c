package app

import (
	"slices"

	"github.com/usher-mesh/usher/internal/mesh"
)

// reportSettings logs what is wrong with the mesh configuration, and which of its
// fields have no effect, when that changes: a ConfigMap has no status to say it.
func (p *pipeline) reportSettings(statuses []mesh.Status) {
	var faults []string // each with its object's name
	for _, s := range statuses {
		if s.Ref.Kind != "ConfigMap" {
			continue
		}
		if !s.Accepted {
			faults = append(faults, s.Ref.Name+": "+s.Message)
		}
		for _, w := range s.Warnings {
			faults = append(faults, s.Ref.Name+": "+w)
		}
	}
	if slices.Equal(faults, p.settingsFaults) {
		return
	}
	p.settingsFaults = faults
	for _, f := range faults {
		p.log.Warn("the mesh configuration in istio-system", "fault", f)
	}
}
