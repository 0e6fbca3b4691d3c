package rbac

import (
	"fmt"
	"maps"
	"slices"

	rbacv3 "github.com/envoyproxy/go-control-plane/envoy/config/rbac/v3"

	"github.com/usher-mesh/usher/internal/jsondoc"
	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/strict"
)

// matcher is a compiled permission or principal.
type matcher func(x *exchange.Exchange) bool

// rules are one action with its policies, in the order of their names.
type rules struct {
	action   rbacv3.RBAC_Action
	policies []namedPolicy
}

type namedPolicy struct {
	name                    string
	permissions, principals matcher
}

func compileRules(m *rbacv3.RBAC) (*rules, error) {
	if err := strict.Only(m, "action", "policies"); err != nil {
		return nil, err
	}
	r := &rules{action: m.GetAction()}
	switch r.action {
	case rbacv3.RBAC_ALLOW, rbacv3.RBAC_DENY, rbacv3.RBAC_LOG:
	default:
		return nil, strict.Errorf("action", "%d: %w", r.action, strict.ErrUnsupported)
	}
	for _, name := range slices.Sorted(maps.Keys(m.GetPolicies())) {
		p, err := compilePolicy(m.GetPolicies()[name])
		if err != nil {
			return nil, strict.At(fmt.Sprintf("policies[%q]", name), err)
		}
		p.name = name
		r.policies = append(r.policies, p)
	}
	return r, nil
}

func compilePolicy(m *rbacv3.Policy) (p namedPolicy, err error) {
	if err := strict.Only(m, "permissions", "principals"); err != nil {
		return p, err
	}
	if p.permissions, err = combine("permissions", m.GetPermissions(), anyOf, compilePermission, 0); err != nil {
		return p, err
	}
	p.principals, err = combine("principals", m.GetPrincipals(), anyOf, compilePrincipal, 0)
	return p, err
}

// allow tells whether the request may pass, and the policy that decided, "" if
// none matched. LOG only notes whether one matched.
func (r *rules) allow(x *exchange.Exchange) (bool, string) {
	name, matched := r.match(x)
	switch r.action {
	case rbacv3.RBAC_ALLOW:
		return matched, name
	case rbacv3.RBAC_DENY:
		return !matched, name
	}
	x.SetMetadata("envoy.common", "access_log_hint", jsondoc.Of(matched))
	return true, name
}

func (r *rules) match(x *exchange.Exchange) (string, bool) {
	for i := range r.policies {
		p := &r.policies[i]
		if p.permissions(x) && p.principals(x) {
			return p.name, true
		}
	}
	return "", false
}

// maxDepth bounds how deep rules nest.
const maxDepth = 64

// combine compiles a list, which must not be empty, and joins it.
func combine[M any](path string, l []M, join func([]matcher) matcher, compile func(M, int) (matcher, error), depth int) (matcher, error) {
	if depth > maxDepth {
		return nil, strict.Errorf(path, "nested deeper than %d", maxDepth)
	}
	if len(l) == 0 {
		return nil, strict.Errorf(path, "empty")
	}
	out := make([]matcher, len(l))
	for i, m := range l {
		var err error
		if out[i], err = compile(m, depth+1); err != nil {
			return nil, strict.AtIndex(path, i, err)
		}
	}
	if len(out) == 1 {
		return out[0], nil
	}
	return join(out), nil
}

func anyOf(l []matcher) matcher {
	return func(x *exchange.Exchange) bool {
		for _, m := range l {
			if m(x) {
				return true
			}
		}
		return false
	}
}

func allOf(l []matcher) matcher {
	return func(x *exchange.Exchange) bool {
		for _, m := range l {
			if !m(x) {
				return false
			}
		}
		return true
	}
}

// negate wraps what a compiler gave.
func negate(path string, m matcher, err error) (matcher, error) {
	if err != nil {
		return nil, strict.At(path, err)
	}
	return func(x *exchange.Exchange) bool { return !m(x) }, nil
}

// constant is any: true, or any: false, which Envoy refuses.
func constant(v bool) (matcher, error) {
	if !v {
		return nil, strict.Errorf("any", "must be true")
	}
	return func(*exchange.Exchange) bool { return true }, nil
}
