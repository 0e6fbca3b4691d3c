package translate_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/usher-mesh/usher/internal/mesh"
)

// TestLosers holds that an object that is in force nowhere says so: of two for
// the same place the older wins, whatever the two call it.
func TestLosers(t *testing.T) {
	open := "peers: [{mtls: {}}]"
	// b is a second service of the same workload, with a port of its own.
	b := "apiVersion: v1\nkind: Service\nmetadata: {name: b, namespace: t}\nspec: {selector: {app: a}, ports: [{name: http-x, port: 8, targetPort: 80}, {name: y2, port: 9, targetPort: 90}]}\n---\n"
	peer := func(name, created, label, mode string) string {
		return fmt.Sprintf("apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: %s, namespace: t, creationTimestamp: '2026-01-0%sT00:00:00Z'}\nspec: {selector: {matchLabels: {%s}}, mtls: {mode: %s}}\n---\n", name, created, label, mode)
	}
	both := peer("old", "1", "app: a", "PERMISSIVE") + peer("new", "2", "security.istio.io/tlsMode: istio", "STRICT")
	for name, tc := range map[string]struct {
		text, kind string
		accepted   bool
		warning    string // beginning of one; "" for none
	}{
		"a port's name and its number":  {policyYAML("old", "1", "{name: a, ports: [{name: http}]}", open) + policyYAML("new", "2", "{name: a, ports: [{number: 80}]}", origin("i")), "Policy", false, ""},
		"another port":                  {policyYAML("old", "1", "{name: a, ports: [{name: http}]}", open) + policyYAML("new", "2", "{name: a, ports: [{number: 81}]}", origin("i")), "Policy", true, ""},
		"a port and the service":        {policyYAML("old", "1", "{name: a, ports: [{name: http}]}", open) + policyYAML("new", "2", "{name: a}", origin("i")), "Policy", true, ""},
		"a port that there is not":      {policyYAML("new", "2", "{name: a, ports: [{number: 9999}]}", origin("i")), "Policy", true, `spec.targets: the service "a" has no port 9999`},
		"a name that there is not":      {policyYAML("new", "2", "{name: a, ports: [{name: gone}, {number: 80}]}", origin("i")), "Policy", true, `spec.targets: the service "a" has no port gone`},
		"one port of two services":      {b + policyYAML("old", "1", "{name: a}", open) + policyYAML("new", "2", "{name: b, ports: [{number: 8}]}", origin("i")), "Policy", true, ""},
		"the same rank":                 {b + policyYAML("old", "1", "{name: a, ports: [{number: 80}]}", open) + policyYAML("new", "2", "{name: b, ports: [{number: 8}]}", origin("i")), "Policy", false, ""},
		"the same rank, and a port":     {b + policyYAML("old", "1", "{name: a}", open) + policyYAML("new", "2", "{name: b}", origin("i")), "Policy", true, `the older Policy "old" wins`},
		"two selectors of one workload": {both, "PeerAuthentication", false, ""},
		"and of another": {both + "apiVersion: networking.istio.io/v1\nkind: WorkloadEntry\nmetadata: {name: c, namespace: t, labels: {app: c, security.istio.io/tlsMode: istio}}\nspec: {address: 127.1.0.3}\n---\n",
			"PeerAuthentication", true, `the older PeerAuthentication "old" wins`},
	} {
		t.Run(name, func(t *testing.T) {
			m, statuses := model(t, tc.text)
			st := statuses[tc.kind+"/new"]
			if st.Accepted != tc.accepted || !tc.accepted && st.Reason != "Conflicted" {
				t.Errorf("status %+v", st)
			}
			if got := strings.Join(st.Warnings, "\n"); !strings.HasPrefix(got, tc.warning) || (got == "") != (tc.warning == "") {
				t.Errorf("warnings %q, want %q", got, tc.warning)
			}
			if tc.kind == "PeerAuthentication" {
				peers := m.Workload("t", "a").Security.Peers
				if slices.ContainsFunc(peers, func(r mesh.Ref) bool { return r.Name == "new" }) {
					t.Errorf("%v are in force", peers)
				}
			}
		})
	}
}
