package translate_test

import (
	"slices"
	"strings"
	"testing"
)

// TestTokensWithoutHTTP: an object that asks for tokens says at which ports that
// it selects none can be checked.
func TestTokensWithoutHTTP(t *testing.T) {
	const raw = "apiVersion: v1\nkind: Service\nmetadata: {name: raw, namespace: t}\nspec: {selector: {app: a}, ports: [{name: web, port: 90}, {name: up, port: 91, appProtocol: http}, {name: tcp-x, port: 92}]}\n---\n" +
		"apiVersion: networking.istio.io/v1\nkind: WorkloadEntry\nmetadata: {name: a2, namespace: t, labels: {app: a}}\nspec: {address: 127.1.0.3}\n---\n"
	request := func(ns, rest string) string {
		return "apiVersion: security.istio.io/v1\nkind: RequestAuthentication\nmetadata: {name: x, namespace: " + ns + "}\nspec: {" + rest + " jwtRules: [{issuer: i, jwksUri: 'http://k/'}]}\n---\n"
	}
	const web, tcp = `port "web" (90) of service t/raw is not HTTP`, `port "tcp-x" (92) of service t/raw is not HTTP`
	for name, tc := range map[string]struct {
		text, object string
		want         []string
	}{
		"all HTTP":                {request("t", ""), "RequestAuthentication/x", nil},
		"namespace":               {raw + request("t", ""), "RequestAuthentication/x", []string{web, tcp}},
		"mesh":                    {raw + request("istio-system", ""), "RequestAuthentication/x", []string{web, tcp}},
		"another workload":        {raw + request("t", "selector: {matchLabels: {app: b}},"), "RequestAuthentication/x", nil},
		"Policy":                  {raw + policyYAML("x", "1", "{name: raw}", origin("i")), "Policy/x", []string{web, tcp}},
		"Policy of a port":        {raw + policyYAML("x", "1", "{name: raw, ports: [{number: 92}]}", origin("i")), "Policy/x", []string{tcp}},
		"Policy of an HTTP port":  {raw + policyYAML("x", "1", "{name: raw, ports: [{number: 91}]}", origin("i")), "Policy/x", nil},
		"Policy without origins":  {raw + policyYAML("x", "1", "{name: raw}", "peers: [{mtls: {}}]"), "Policy/x", nil},
		"MeshPolicy with origins": {raw + policyYAML("mesh", "1", "", origin("i")), "MeshPolicy/default", []string{web, tcp}},
	} {
		t.Run(name, func(t *testing.T) {
			_, statuses := model(t, tc.text)
			st, ok := statuses[tc.object]
			if !ok || !st.Accepted {
				t.Fatalf("status %+v", st)
			}
			var got []string
			for _, w := range st.Warnings {
				if text, _, ok := strings.Cut(w, ": no token can be shown there"); ok {
					got = append(got, text)
				}
			}
			if !slices.Equal(got, tc.want) {
				t.Errorf("warnings %q, want %q", got, tc.want)
			}
		})
	}
}
