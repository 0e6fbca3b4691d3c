package rbac

import (
	"strings"
	"sync/atomic"

	"github.com/usher-mesh/usher/internal/proxy/counters"
)

// stats are Envoy's counters of a filter. They go on counting when a configuration is
// replaced by one of the same names.
type stats struct{ allowed, denied, shadowAllowed, shadowDenied *atomic.Int64 }

// newStats gives the counters of filters whose rules and shadow rules have those
// prefixes, for a scope and whose it is.
func newStats(set *counters.Set, scope counters.Scope, of, rules, shadow string) stats {
	counter := func(prefix, name string) *atomic.Int64 {
		if prefix = strings.TrimRight(prefix, "."); prefix != "" {
			name = prefix + "." + name
		}
		return set.Of(counters.Name{Scope: scope, Of: strings.TrimRight(of, "."), Name: "rbac." + name})
	}
	return stats{counter(rules, "allowed"), counter(rules, "denied"), counter(shadow, "shadow_allowed"), counter(shadow, "shadow_denied")}
}

func (s *stats) count(allowed bool) {
	if allowed {
		s.allowed.Add(1)
	} else {
		s.denied.Add(1)
	}
}

func (s *stats) countShadow(allowed bool) {
	if allowed {
		s.shadowAllowed.Add(1)
	} else {
		s.shadowDenied.Add(1)
	}
}
