package translate_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/usher-mesh/usher/internal/control/source"
	"github.com/usher-mesh/usher/internal/control/translate"
	"github.com/usher-mesh/usher/internal/mesh"
)

const app = `
apiVersion: v1
kind: Service
metadata: {name: a, namespace: t}
spec: {selector: {app: a}, ports: [{name: http, port: 80}, {name: http-admin, port: 81}]}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: a, namespace: t, labels: {app: a, security.istio.io/tlsMode: istio}}
spec: {address: 127.1.0.1, serviceAccount: a}
`

func model(t testing.TB, text string) (*mesh.Model, map[string]mesh.Status) {
	t.Helper()
	var list []*unstructured.Unstructured
	for _, doc := range strings.Split(app+"\n---\n"+text, "\n---\n") {
		m := map[string]any{}
		if err := yaml.Unmarshal([]byte(doc), &m); err != nil {
			t.Fatal(err)
		}
		j, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		u := &unstructured.Unstructured{}
		if len(m) == 0 {
			continue
		}
		if err := u.UnmarshalJSON(j); err != nil {
			t.Fatal(err)
		}
		list = append(list, u)
	}
	s, err := source.FromObjects(1, list)
	if err != nil {
		t.Fatal(err)
	}
	m, statuses := translate.New().Translate(s)
	by := map[string]mesh.Status{}
	for _, st := range statuses {
		by[st.Ref.Kind+"/"+st.Ref.Name] = st
	}
	return m, by
}

func policyYAML(name, created, targets, rest string) string {
	kind := "Policy"
	if name == "mesh" {
		kind, name = "MeshPolicy", "default"
	}
	return fmt.Sprintf("apiVersion: authentication.istio.io/v1alpha1\nkind: %s\nmetadata: {name: %s, namespace: %q, creationTimestamp: %q}\nspec: {targets: [%s], %s}\n---\n",
		kind, name, map[bool]string{true: "t"}[kind == "Policy"], "2026-01-0"+created+"T00:00:00Z", targets, rest)
}

func origin(issuer string) string {
	return "origins: [{jwt: {issuer: " + issuer + ", jwksUri: 'http://k/'}}]"
}

func TestOnePolicyWins(t *testing.T) {
	meshWide, wide := policyYAML("mesh", "1", "", origin("m")), policyYAML("default", "1", "", origin("ns"))
	service, older := policyYAML("s", "3", "{name: a}", origin("s")), policyYAML("o", "2", "{name: a}", origin("o"))
	port := policyYAML("p", "4", "{name: a, ports: [{number: 81}]}", origin("p"))
	none := policyYAML("z", "2", "{name: a}", "peers: [{mtls: {}}]")
	for name, tc := range map[string]struct{ text, http, admin string }{
		"nothing":                {"", "", ""},
		"mesh":                   {meshWide, "m", "m"},
		"namespace":              {meshWide + wide, "ns", "ns"},
		"service":                {meshWide + wide + service, "s", "s"},
		"port":                   {wide + service + port, "s", "p"},
		"port beside namespace":  {wide + port, "ns", "p"},
		"older":                  {service + older, "o", "o"},
		"one that asks for none": {wide + none, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			m, _ := model(t, tc.text)
			sec := m.Workload("t", "a").Security
			for p, want := range map[uint16]string{80: tc.http, 81: tc.admin} {
				got := ""
				if o := sec.OriginFor(p); o != nil {
					got = o.Rules[0].Issuer
				}
				if got != want {
					t.Errorf("port %d: policy of issuer %q, want %q", p, got, want)
				}
			}
		})
	}
	m, statuses := model(t, service+older)
	if st := statuses["Policy/s"]; st.Accepted || st.Reason != "Conflicted" {
		t.Errorf("the younger policy is %+v", st)
	}
	if len(m.KeySets) != 1 || len(m.KeySets[0].Owners) != 2 {
		t.Errorf("key sets %+v", m.KeySets)
	}
}

// https://a and https://a/ share a discovery document and are two issuers: a
// policy of the one does not disturb the other's keys.
func TestDiscoveredKeySets(t *testing.T) {
	auth := func(name, rule string) string {
		return "apiVersion: security.istio.io/v1\nkind: RequestAuthentication\nmetadata: {name: " + name + ", namespace: t}\nspec: {jwtRules: [" + rule + "]}\n---\n"
	}
	const doc = "https://k/realm/.well-known/openid-configuration"
	m, statuses := model(t,
		auth("a", "{issuer: 'https://k/realm'}")+auth("b", "{issuer: 'https://k/realm/'}")+auth("c", "{issuer: c, jwksUri: '"+doc+"'}")+
			auth("query", "{issuer: 'https://k/?a=b'}")+auth("fragment", "{issuer: 'https://k/#a'}")+auth("name", "{issuer: k}")+
			auth("uri", "{issuer: k, jwksUri: '"+doc+"#https://k/realm'}"))
	var got []string
	for _, k := range m.KeySets {
		got = append(got, k.URI+" "+k.Issuer+" "+k.Owners[0].Name)
	}
	want := []string{
		doc + "  c",
		doc + "#https://k/realm https://k/realm a",
		doc + "#https://k/realm/ https://k/realm/ b",
	}
	if !slices.Equal(got, want) {
		t.Errorf("key sets %q, want %q", got, want)
	}
	for _, name := range []string{"query", "fragment", "name", "uri"} {
		if st := statuses["RequestAuthentication/"+name]; st.Accepted || st.Message == "" {
			t.Errorf("%s: %+v", name, st)
		}
	}
}

func TestMTLSMode(t *testing.T) {
	peer := func(name, ns, selector, rest string) string {
		return fmt.Sprintf("apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: %s, namespace: %s}\nspec: {%s %s}\n---\n", name, ns, selector, rest)
	}
	mode := func(s string) string { return "mtls: {mode: " + s + "}" }
	sel := "selector: {matchLabels: {app: a}},"
	for name, tc := range map[string]struct {
		text string
		want mesh.MTLSMode
	}{
		"default":                      {"", mesh.Permissive},
		"mesh":                         {peer("d", "istio-system", "", mode("STRICT")), mesh.Strict},
		"namespace over mesh":          {peer("d", "istio-system", "", mode("STRICT")) + peer("d", "t", "", mode("DISABLE")), mesh.Disable},
		"unset inherits":               {peer("d", "istio-system", "", mode("STRICT")) + peer("d", "t", "", mode("UNSET")), mesh.Strict},
		"workload over namespace":      {peer("d", "t", "", mode("STRICT")) + peer("w", "t", sel, mode("DISABLE")), mesh.Disable},
		"port over workload":           {peer("w", "t", sel, mode("DISABLE")+", portLevelMtls: {80: {mode: STRICT}}"), mesh.Strict},
		"another port":                 {peer("w", "t", sel, mode("DISABLE")+", portLevelMtls: {81: {mode: STRICT}}"), mesh.Disable},
		"selector in the root":         {peer("w", "istio-system", sel, mode("STRICT")), mesh.Permissive},
		"the Policy form is stricter":  {peer("d", "t", "", mode("DISABLE")) + policyYAML("p", "1", "{name: a}", "peers: [{mtls: {}}]"), mesh.Strict},
		"the Policy form is milder":    {peer("d", "t", "", mode("STRICT")) + policyYAML("p", "1", "{name: a}", "peers: [{mtls: {mode: PERMISSIVE}}]"), mesh.Strict},
		"the Policy form, as optional": {policyYAML("p", "1", "{name: a}", "peers: [{mtls: {}}], peerIsOptional: true"), mesh.Permissive},
	} {
		t.Run(name, func(t *testing.T) {
			m, _ := model(t, tc.text)
			w := m.Workload("t", "a")
			if got := w.Security.Mode(80); got != tc.want || len(w.Security.Denied) > 0 {
				t.Errorf("mode %d, want %d; denied %v", got, tc.want, w.Security.Denied)
			}
			if got := m.Service("a.t.svc.cluster.local").Endpoints[0][0].MTLS; got != (tc.want != mesh.Disable) {
				t.Errorf("callers use mTLS: %v", got)
			}
		})
	}
}

// TestUnresolvable: what cannot be taken denies what it selects, and nothing else.
func TestUnresolvable(t *testing.T) {
	const other = "apiVersion: networking.istio.io/v1\nkind: WorkloadEntry\nmetadata: {name: b, namespace: t, labels: {app: b}}\nspec: {address: 127.1.0.2}\n---\n"
	head := func(kind, meta string) string {
		group := "security.istio.io/v1"
		if strings.HasSuffix(kind, "Policy") && !strings.HasPrefix(kind, "Auth") {
			group = "authentication.istio.io/v1alpha1"
		}
		return "apiVersion: " + group + "\nkind: " + kind + "\nmetadata: {name: x, namespace: " + meta + "}\nspec: "
	}
	triggers := func(origins int) string {
		var list []string
		for i := range origins {
			list = append(list, fmt.Sprintf("{jwt: {issuer: i%d, jwksUri: 'http://k', triggerRules: [{includedPaths: [{prefix: /%d}]}]}}", i, i))
		}
		return strings.Join(list, ", ")
	}
	sel := "selector: {matchLabels: {app: a}}, "
	for name, tc := range map[string]struct {
		text string
		a, b bool
	}{
		"bad keys":              {head("RequestAuthentication", "t") + "{" + sel + "jwtRules: [{issuer: i, jwks: '{}'}]}", true, false},
		"no keys":               {head("RequestAuthentication", "t") + "{" + sel + "jwtRules: [{issuer: i}]}", true, false},
		"whole namespace":       {head("RequestAuthentication", "t") + "{jwtRules: [{issuer: i}]}", true, true},
		"another namespace":     {head("RequestAuthentication", "u") + "{jwtRules: [{issuer: i}]}", false, false},
		"whole mesh":            {head("RequestAuthentication", "istio-system") + "{jwtRules: [{issuer: i}]}", true, true},
		"unknown field":         {head("AuthorizationPolicy", "t") + "{" + sel + "future: 1}", true, false},
		"unknown selector":      {head("AuthorizationPolicy", "t") + "{selector: {future: 1}}", true, true},
		"unknown key":           {head("AuthorizationPolicy", "t") + "{" + sel + "rules: [{when: [{key: x, values: [y]}]}]}", true, false},
		"bad port":              {head("AuthorizationPolicy", "t") + "{" + sel + "rules: [{to: [{operation: {ports: [x]}}]}]}", true, false},
		"DENY without rules":    {head("AuthorizationPolicy", "t") + "{" + sel + "action: DENY}", true, false},
		"ports without labels":  {head("PeerAuthentication", "t") + "{portLevelMtls: {80: {mode: STRICT}}}", true, true},
		"Policy of a peer JWT":  {head("Policy", "t") + "{targets: [{name: a}], peers: [{jwt: {issuer: i}}]}", true, false},
		"Policy without target": {head("Policy", "t") + "{" + origin("i") + "}", true, true},
		"Policy, bad regex":     {head("Policy", "t") + "{targets: [{name: a}], origins: [{jwt: {issuer: i, jwksUri: 'http://k', triggerRules: [{excludedPaths: [{regex: '('}]}]}}]}", true, false},
		"Policy, triggers":      {head("Policy", "t") + "{targets: [{name: a}], origins: [" + triggers(7) + "]}", true, false},
		"Policy, fewer":         {head("Policy", "t") + "{targets: [{name: a}], origins: [" + triggers(6) + "]}", false, false},
	} {
		t.Run(name, func(t *testing.T) {
			m, statuses := model(t, other+tc.text)
			for _, st := range statuses {
				if st.Ref.Name == "x" && (st.Accepted != (name == "Policy, fewer") || st.Accepted != (st.Message == "")) {
					t.Errorf("status %+v", st)
				}
			}
			for name, want := range map[string]bool{"a": tc.a, "b": tc.b} {
				if got := len(m.Workload("t", name).Security.Denied) > 0; got != want {
					t.Errorf("%s is denied: %v, want %v", name, got, want)
				}
			}
		})
	}
}

// TestSecretNeverShows: a key does not get into a dump of the model.
func TestSecretNeverShows(t *testing.T) {
	m, _ := model(t, "apiVersion: v1\nkind: Secret\ntype: kubernetes.io/tls\nmetadata: {name: s, namespace: t}\ndata: {tls.crt: Y2VydA==, tls.key: c2VjcmV0}\n")
	j, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	text := string(j) + fmt.Sprintf("%v %+v %#v %s", m.Secrets[0], m.Secrets[0], m.Secrets[0], m.Secrets[0].Key)
	for _, s := range []string{"secret", "c2VjcmV0", "115 101 99"} {
		if strings.Contains(text, `"`+s) || strings.Contains(text, s+"]") {
			t.Errorf("the key shows as %s", s)
		}
	}
}

// TestGatewayWithoutCertificate holds that a Gateway says which Secret it lacks,
// and where: one in another namespace, or without a key, is none.
func TestGatewayWithoutCertificate(t *testing.T) {
	const gateway = `
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: edge, namespace: g, labels: {istio: gateway}}
spec: {address: 127.1.0.2}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: gw, namespace: t}
spec:
  selector: {istio: gateway}
  servers:
  - {port: {number: 443, name: https, protocol: HTTPS}, hosts: ["*"], tls: {mode: SIMPLE, credentialName: c}}
---
`
	secret := func(namespace, data string) string {
		return fmt.Sprintf("apiVersion: v1\nkind: Secret\nmetadata: {name: c, namespace: %s}\ndata: {%s}\n---\n", namespace, data)
	}
	const want = "spec.servers[0].tls.credentialName: namespace g has no Secret c with a certificate and its key; TLS connections are closed until it has"
	for name, tc := range map[string]struct {
		secret string
		warned bool
	}{
		"none":              {"", true},
		"another namespace": {secret("t", "tls.crt: YQ==, tls.key: YQ=="), true},
		"no key":            {secret("g", "tls.crt: YQ==, ca.crt: YQ=="), true},
		"there":             {secret("g", "tls.crt: YQ==, tls.key: YQ=="), false},
	} {
		t.Run(name, func(t *testing.T) {
			_, statuses := model(t, gateway+tc.secret)
			if got := statuses["Gateway/gw"].Warnings; slices.Contains(got, want) != tc.warned {
				t.Errorf("%q", got)
			}
		})
	}
}

// TestCommentedMeshConfig: a mesh configuration of comments alone is none.
func TestCommentedMeshConfig(t *testing.T) {
	m, _ := model(t, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio, namespace: istio-system}\ndata: {mesh: \"# nothing yet\\n\"}\n")
	if !m.Settings.OutboundAny {
		t.Error("the mesh calls nothing outside")
	}
}

// Roots for key sets come from the ConfigMap that Istio's chart writes. A bundle with
// something bad in it is refused whole.
func TestJWKSRoots(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: big.NewInt(1)}, &x509.Certificate{SerialNumber: big.NewInt(1)}, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	good := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	private := string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}))
	bad := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der[1:]}))
	for name, c := range map[string]struct {
		text, fault string
		want        bool
	}{
		"none":      {"", "", false},
		"one":       {good, "", true},
		"several":   {good + "\n" + good, "", true},
		"no PEM":    {"hello", "not PEM", false},
		"rest":      {good + "hello", "not PEM", false},
		"a key":     {good + private, "block 1 is no certificate", false},
		"a bad one": {good + bad, "certificate 1: ", false},
	} {
		m, statuses := model(t, fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: pilot-jwks-extra-cacerts, namespace: istio-system}\ndata: {extra.pem: %q}\n", c.text))
		if got := len(m.Settings.JWKSRoots) > 0; got != c.want {
			t.Errorf("%s: trusted: %t", name, got)
		}
		st, ok := statuses["ConfigMap/pilot-jwks-extra-cacerts"]
		if !ok || st.Accepted != (c.fault == "") || !strings.Contains(st.Message, c.fault) {
			t.Errorf("%s: %+v", name, st)
		}
	}
	// Another namespace's is nobody's.
	if m, _ := model(t, fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: pilot-jwks-extra-cacerts, namespace: x}\ndata: {extra.pem: %q}\n", good)); m.Settings.JWKSRoots != nil {
		t.Error("a root of another namespace is trusted")
	}
}
