package match

import (
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"

	"github.com/usher-mesh/usher/internal/jsondoc"
	"github.com/usher-mesh/usher/internal/proxy/strict"
)

// Value tells whether a JSON value matches; the zero value is that there is none.
type Value func(v jsondoc.Value) bool

// maxDepth bounds how deep matchers nest.
const maxDepth = 64

// CompileValue compiles a ValueMatcher. Unlike Envoy's, a string matcher matches
// the JSON text of numbers and booleans too, so that a claim 5 or true can be
// asked for.
func CompileValue(m *matcherv3.ValueMatcher) (Value, error) { return compileValue(m, 0) }

func compileValue(m *matcherv3.ValueMatcher, depth int) (Value, error) {
	if depth > maxDepth {
		return nil, strict.Errorf("", "nested deeper than %d", maxDepth)
	}
	if err := strict.Only(m, "null_match", "double_match", "string_match", "bool_match", "present_match", "list_match", "or_match"); err != nil {
		return nil, err
	}
	switch p := m.GetMatchPattern().(type) {
	case *matcherv3.ValueMatcher_NullMatch_:
		return func(v jsondoc.Value) bool { return v.Kind() == jsondoc.Null }, nil
	case *matcherv3.ValueMatcher_DoubleMatch:
		d, err := compileDouble(p.DoubleMatch)
		return d, strict.At("double_match", err)
	case *matcherv3.ValueMatcher_StringMatch:
		s, err := CompileString(p.StringMatch)
		return func(v jsondoc.Value) bool { t, ok := v.Scalar(); return ok && s(t) }, strict.At("string_match", err)
	case *matcherv3.ValueMatcher_BoolMatch:
		return func(v jsondoc.Value) bool { b, ok := v.Bool(); return ok && b == p.BoolMatch }, nil
	case *matcherv3.ValueMatcher_PresentMatch:
		return func(v jsondoc.Value) bool { return v.Kind() != jsondoc.Absent && p.PresentMatch }, nil
	case *matcherv3.ValueMatcher_ListMatch:
		l, err := compileList(p.ListMatch, depth)
		return l, strict.At("list_match", err)
	case *matcherv3.ValueMatcher_OrMatch:
		o, err := compileOr(p.OrMatch, depth)
		return o, strict.At("or_match", err)
	}
	return nil, strict.Errorf("match_pattern", "missing")
}

func compileDouble(m *matcherv3.DoubleMatcher) (Value, error) {
	if err := strict.Only(m, "range", "exact"); err != nil {
		return nil, err
	}
	var fits func(float64) bool
	switch p := m.GetMatchPattern().(type) {
	case *matcherv3.DoubleMatcher_Exact:
		fits = func(f float64) bool { return f == p.Exact }
	case *matcherv3.DoubleMatcher_Range:
		from, to := p.Range.GetStart(), p.Range.GetEnd()
		fits = func(f float64) bool { return f >= from && f < to }
	default:
		return nil, strict.Errorf("match_pattern", "missing")
	}
	return func(v jsondoc.Value) bool {
		n, ok := v.Number()
		if !ok {
			return false
		}
		f, err := n.Float64()
		return err == nil && fits(f)
	}, nil
}

func compileList(m *matcherv3.ListMatcher, depth int) (Value, error) {
	if err := strict.Only(m, "one_of"); err != nil {
		return nil, err
	}
	if m.GetOneOf() == nil {
		return nil, strict.Errorf("match_pattern", "missing")
	}
	one, err := compileValue(m.GetOneOf(), depth+1)
	if err != nil {
		return nil, strict.At("one_of", err)
	}
	return func(v jsondoc.Value) bool {
		if v.Kind() != jsondoc.Array {
			return false
		}
		for _, e := range v.All() {
			if one(e) {
				return true
			}
		}
		return false
	}, nil
}

func compileOr(m *matcherv3.OrMatcher, depth int) (Value, error) {
	if err := strict.Only(m, "value_matchers"); err != nil {
		return nil, err
	}
	if len(m.GetValueMatchers()) == 0 {
		return nil, strict.Errorf("value_matchers", "empty")
	}
	var alternatives []Value
	for i, e := range m.GetValueMatchers() {
		v, err := compileValue(e, depth+1)
		if err != nil {
			return nil, strict.AtIndex("value_matchers", i, err)
		}
		alternatives = append(alternatives, v)
	}
	return func(v jsondoc.Value) bool {
		for _, m := range alternatives {
			if m(v) {
				return true
			}
		}
		return false
	}, nil
}
