package e2e

import (
	"testing"
	"time"

	"github.com/usher-mesh/usher/test/harness"
)

// badGateway has the control plane send the gateway a certificate that is none.
const badGateway = `
apiVersion: v1
kind: Secret
metadata: {name: bad-cert, namespace: istio-system}
type: Opaque
stringData: {tls.crt: not a certificate, tls.key: not a key}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: bad-gateway, namespace: istio-system}
spec:
  selector: {istio: ingressgateway}
  servers:
  - port: {number: 443, name: https, protocol: HTTPS}
    hosts: [bad.example]
    tls: {mode: SIMPLE, credentialName: bad-cert}
`

// TestRefusedResourceStandsAlone has a proxy refuse a resource. The object that
// named it says so, and policy that is written afterwards is in force as fast as
// without it. It catches a control plane that waits for, or withdraws, all that was
// in a refused response.
func TestRefusedResourceStandsAlone(t *testing.T) {
	m := harness.Up(t)
	api, url := m.API()
	body := policyJSON(t)
	propagate(t, m, api, url, body) // with the first use the key set is fetched
	if out, err := m.TryKubectl(badGateway, "apply", "-f", "-"); err != nil {
		t.Fatal(out)
	}
	m.Kubectl("wait", "--for=condition=Programmed=False", "--timeout=20s", "-n", "istio-system", "gateway/bad-gateway")
	const rounds = 5
	var worst time.Duration
	for range rounds {
		worst = max(worst, propagate(t, m, api, url, body))
	}
	t.Logf("with a refused resource in force after %v at worst of %d", worst, rounds)
	if worst > time.Second {
		t.Errorf("in force after %v", worst)
	}
	m.Kubectl("wait", "--for=condition=Programmed=False", "--timeout=20s", "-n", "istio-system", "gateway/bad-gateway")
}
