package e2e

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/usher-mesh/usher/test/harness"
)

const faulty = `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: preference-fault, namespace: tutorial}
spec:
  hosts: [preference]
  http:
  - fault: {delay: {fixedDelay: 0.01s, percentage: {value: 100}}, abort: {httpStatus: 418, percentage: {value: 100}}}
    route: [{destination: {host: preference}}]
`

// TestFault breaks one service's calls to another by a VirtualService, and mends them.
func TestFault(t *testing.T) {
	m := harness.Up(t)
	wantOpen(t, m, "")
	m.Apply(faulty)
	harness.Eventually(t, 5*time.Second, "calls fail", func() (bool, any) {
		a := m.MustGet("/customer", "")
		return a.Status != http.StatusOK && strings.Contains(a.Body, "fault filter abort"), a
	})
	m.Kubectl("delete", "virtualservice", "-n", "tutorial", "preference-fault")
	harness.Eventually(t, 5*time.Second, "calls succeed", func() (bool, any) {
		a := m.MustGet("/customer", "")
		return a.Status == http.StatusOK, a
	})
}
