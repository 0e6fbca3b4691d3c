package translate

import (
	"fmt"
	"sort"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/usher-mesh/usher/internal/mesh"
)

// Reasons of a status.
const (
	reasonAccepted    = "Accepted"
	reasonInvalid     = "Invalid"
	reasonUnsupported = "Unsupported"
	reasonConflicted  = "Conflicted"
	reasonNoEffectYet = "NoEffectYet"
)

// verdict is what a pure function found out about its object. The zero verdict
// accepts it.
type verdict struct {
	reason, message string // set if the object is not accepted
	noEffect        bool
	warnings        []string
}

func (v *verdict) refuse(reason, format string, args ...any) {
	if v.reason == "" { // the first fault is the one that is shown
		v.reason, v.message = reason, fmt.Sprintf(format, args...)
	}
}

func (v *verdict) warn(format string, args ...any) {
	v.warnings = append(v.warnings, fmt.Sprintf(format, args...))
}

func (v *verdict) refused() bool { return v.reason != "" }

// findings are the statuses of one pass.
type findings map[mesh.Ref]*mesh.Status

// report files what was found about an object. Later findings about the same
// object add to it.
func (f findings) report(ref mesh.Ref, o metav1.Object, v *verdict) {
	s, ok := f[ref]
	if !ok {
		s = &mesh.Status{Ref: ref, UID: string(o.GetUID()), Generation: o.GetGeneration(), Accepted: true, Reason: reasonAccepted}
		f[ref] = s
	}
	if v.refused() && s.Accepted {
		s.Accepted, s.Reason, s.Message = false, v.reason, v.message
	}
	if v.noEffect && s.Accepted {
		s.NoEffectYet, s.Reason = true, reasonNoEffectYet
		s.Message = "the object is kept, and has no effect in this version"
	}
	s.Warnings = append(s.Warnings, v.warnings...)
}

func (f findings) warn(ref mesh.Ref, format string, args ...any) {
	if s, ok := f[ref]; ok {
		s.Warnings = append(s.Warnings, fmt.Sprintf(format, args...))
	}
}

func (f findings) refuse(ref mesh.Ref, reason, format string, args ...any) {
	if s, ok := f[ref]; ok && s.Accepted {
		s.Accepted, s.Reason, s.Message = false, reason, fmt.Sprintf(format, args...)
	}
}

func (f findings) statuses() []mesh.Status {
	out := make([]mesh.Status, 0, len(f))
	for _, s := range f {
		out = append(out, *s)
	}
	sort.Slice(out, func(i, j int) bool { return lessRef(out[i].Ref, out[j].Ref) })
	return out
}
