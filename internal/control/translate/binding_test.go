package translate_test

import (
	"strings"
	"testing"
)

// TestUsePeerWarns holds that a Policy with USE_PEER says so where a rule asks for
// the request's principal: it is the token's there all the same.
func TestUsePeerWarns(t *testing.T) {
	authz := func(rule string) string {
		return "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: z, namespace: t}\nspec: {action: DENY, rules: [{" + rule + "}]}\n---\n"
	}
	source := authz("from: [{source: {notRequestPrincipals: [i/s]}}]")
	condition := authz("when: [{key: request.auth.principal, values: [i/s]}]")
	claim := authz("when: [{key: 'request.auth.claims[a]', values: [b]}]")
	for name, tc := range map[string]struct {
		text string
		want int
	}{
		"no rule":          {policyYAML("p", "1", "{name: a}", origin("i")), 0},
		"source":           {source + policyYAML("p", "1", "{name: a}", origin("i")), 1},
		"condition":        {condition + policyYAML("p", "1", "{name: a}, {name: a, ports: [{number: 80}]}", origin("i")), 1},
		"claims":           {claim + policyYAML("p", "1", "{name: a}", origin("i")), 0},
		"USE_ORIGIN":       {source + policyYAML("p", "1", "{name: a}", origin("i")+", principalBinding: USE_ORIGIN"), 0},
		"without origins":  {source + policyYAML("p", "1", "{name: a}", "peers: [{mtls: {}}]"), 0},
		"another workload": {source + policyYAML("p", "1", "{name: other}", origin("i")), 0},
	} {
		t.Run(name, func(t *testing.T) {
			_, statuses := model(t, tc.text)
			n := 0
			for _, w := range statuses["Policy/p"].Warnings {
				if strings.HasPrefix(w, "spec.principalBinding: ") {
					n++
				}
			}
			if n != tc.want {
				t.Errorf("%d warnings, want %d: %q", n, tc.want, statuses["Policy/p"].Warnings)
			}
		})
	}
}
