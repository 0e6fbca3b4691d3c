package match

import (
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/strict"
)

// State is a compiled FilterStateMatcher. States are strings: one that is not there
// does not match.
type State struct {
	key   string
	value String
}

// CompileState compiles a FilterStateMatcher.
func CompileState(m *matcherv3.FilterStateMatcher) (*State, error) {
	if err := strict.Only(m, "key", "string_match"); err != nil {
		return nil, err
	}
	if m.GetKey() == "" {
		return nil, strict.Errorf("key", "empty")
	}
	if m.GetStringMatch() == nil {
		return nil, strict.Errorf("matcher", "missing")
	}
	s, err := CompileString(m.GetStringMatch())
	return &State{m.GetKey(), s}, strict.At("string_match", err)
}

// Match tells whether what a filter has left matches.
func (s *State) Match(x *exchange.Exchange) bool {
	v, ok := x.FilterState[s.key]
	return ok && s.value(v)
}
