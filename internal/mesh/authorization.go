package mesh

import "strings"

// Action is what an AuthorizationPolicy does with what it matches.
type Action uint8

// The actions.
const (
	Allow Action = iota
	Deny
	Audit
)

// AuthorizationPolicy is one such object. It matches a request if one of its
// rules does; without rules it matches none.
type AuthorizationPolicy struct {
	Ref    Ref
	Action Action
	DryRun bool // only recorded
	Rules  []AuthorizationRule
}

// AuthorizationRule matches if one From, one To and every When do. No From or
// no To means any.
type AuthorizationRule struct {
	From []Source
	To   []Operation
	When []Condition
}

// Values are alternatives of which one must hold, and those of which none may.
// Texts are as in the object: exact, "abc*", "*abc", "*". Both empty: anything.
type Values struct{ In, NotIn []string }

// Empty tells that nothing is asked for.
func (v Values) Empty() bool { return len(v.In) == 0 && len(v.NotIn) == 0 }

// Source is who sends a request; its fields must all hold.
type Source struct {
	Principals, RequestPrincipals, Namespaces Values
	ServiceAccounts, IPBlocks, RemoteIPBlocks Values
	TrustDomains                              Values
}

// Operation is what is asked for; its fields must all hold.
type Operation struct{ Hosts, Ports, Methods, Paths Values }

// Condition is a further attribute that must hold, such as
// "request.auth.claims[role]".
type Condition struct {
	Key string
	Values
}

// ClaimPath gives the names in "request.auth.claims[a][b]", or nil if key is not
// of that form.
func ClaimPath(key string) []string {
	rest, ok := strings.CutPrefix(key, "request.auth.claims[")
	if !ok {
		return nil
	}
	rest, ok = strings.CutSuffix(rest, "]")
	if !ok {
		return nil
	}
	path := strings.Split(rest, "][")
	for _, p := range path {
		if p == "" || strings.ContainsAny(p, "[]") {
			return nil
		}
	}
	return path
}
