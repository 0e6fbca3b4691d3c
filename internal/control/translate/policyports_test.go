package translate_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/usher-mesh/usher/internal/mesh"
)

// TestPolicyPorts holds that a Policy for a service's port is in force at the
// port of the workload behind it, whatever the two are called, and at no other
// service's. Issuers at ports: "8080=a 9090=b", "-" for none.
func TestPolicyPorts(t *testing.T) {
	service := func(name, ports string) string {
		return "apiVersion: v1\nkind: Service\nmetadata: {name: " + name + ", namespace: t}\nspec: {selector: {app: w}, ports: [" + ports + "]}\n---\n"
	}
	headless := "apiVersion: v1\nkind: Service\nmetadata: {name: web, namespace: t}\nspec: {selector: {app: w}, clusterIP: None}\n---\n"
	workload := func(ports string) string {
		return "apiVersion: networking.istio.io/v1\nkind: WorkloadEntry\nmetadata: {name: w, namespace: t, labels: {app: w}}\nspec: {address: 127.1.0.2, ports: {" + ports + "}}\n---\n"
	}
	pol := func(name, target string) string {
		return policyYAML(name, "1", target, origin(name)+", peers: [{mtls: {}}]")
	}
	web := service("web", "{name: http-web, port: 80, targetPort: 8080}") + workload("http: 8080, other: 9090")
	two := service("web", "{name: http, port: 80, targetPort: 8080}") + service("admin", "{name: http, port: 80, targetPort: 9090}") +
		workload("main: 8080, other: 9090")
	const ns = "default"
	for name, tc := range map[string]struct{ text, want string }{
		"service, another name":       {web + pol("p", "{name: web}"), "8080=p"},
		"port number, another name":   {web + pol("p", "{name: web, ports: [{number: 80}]}"), "8080=p 9090=-"},
		"port name, another name":     {web + pol("p", "{name: web, ports: [{name: http-web}]}"), "8080=p 9090=-"},
		"named target":                {service("web", "{name: x, port: 80, targetPort: main}") + workload("main: 8080, other: 9090") + pol("p", "{name: web, ports: [{number: 80}]}"), "8080=p 9090=-"},
		"the workload says":           {service("web", "{name: x, port: 80, targetPort: 1}") + workload("x: 8080") + pol("p", "{name: web, ports: [{number: 80}]}"), "8080=p 1=-"},
		"one port name, two targets":  {two + pol("p", "{name: web}") + pol("q", "{name: admin}"), "8080=p 9090=q"},
		"beside the namespace's":      {two + pol("p", "{name: web}") + pol(ns, ""), "8080=p 9090=default 7070=default"},
		"port beside the namespace's": {two + pol("p", "{name: web, ports: [{number: 80}]}") + pol(ns, ""), "8080=p 9090=default 7070=default"},
		"beside the mesh's":           {two + pol("p", "{name: web}") + pol("mesh", ""), "8080=p 9090=mesh 7070=mesh"},
		"nothing for the other":       {two + pol("p", "{name: web}"), "8080=p 9090=- 7070=p"},
		"a target that is not found": {service("web", "{name: x, port: 80, targetPort: gone}") + service("admin", "{name: b, port: 81, targetPort: 9090}") + workload("http: 8080") +
			pol("p", "{name: web, ports: [{number: 80}]}") + pol("q", "{name: admin}") + pol(ns, ""), "8080=p 9090=q 7070=p"},
		"a service without ports": {headless + workload("http: 8080") + pol("p", "{name: web}") + pol(ns, ""), "8080=p"},
	} {
		t.Run(name, func(t *testing.T) {
			m, _ := model(t, tc.text)
			sec := m.Workload("t", "w").Security
			for _, want := range strings.Fields(tc.want) {
				var port uint16
				var issuer string
				if _, err := fmt.Sscanf(strings.Replace(want, "=", " ", 1), "%d %s", &port, &issuer); err != nil {
					t.Fatal(err)
				}
				got, mode := "-", mesh.Permissive
				if o := sec.OriginFor(port); o != nil {
					got = o.Rules[0].Issuer
				}
				if issuer != "-" {
					mode = mesh.Strict
				}
				if got != issuer || sec.Mode(port) != mode {
					t.Errorf("port %d: issuer %s and mode %d, want %s and %d", port, got, sec.Mode(port), issuer, mode)
				}
			}
		})
	}
}
