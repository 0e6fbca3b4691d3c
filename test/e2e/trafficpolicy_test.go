package e2e

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/usher-mesh/usher/test/harness"
)

// serveVersion in the environment makes this program an HTTP service of that version.
const serveVersion = "USHER_E2E_VERSION"

// version answers with its own name; v2 fails at /broken.
type version string

func (v version) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if v == "v2" && strings.HasPrefix(r.URL.Path, "/broken") {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	fmt.Fprint(w, string(v))
}

const versionsRoute = `
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: versions, namespace: tutorial}
spec:
  selector: {istio: ingressgateway}
  servers:
  - {port: {number: 80, name: http, protocol: HTTP}, hosts: [versions.example]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: versions, namespace: tutorial}
spec:
  hosts: [versions.example]
  gateways: [versions]
  http: [{route: [{destination: {host: versions}}]}]
`

const versionsRule = `
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: versions, namespace: tutorial}
spec:
  host: versions
  trafficPolicy: {%s}
`

// TestTrafficPolicy runs two versions of a service. Outlier detection ejects the one that
// fails after as many failures as the rule says, and calls stop failing; consistent
// hashing sends each user to one version.
func TestTrafficPolicy(t *testing.T) {
	m := harness.Up(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range []string{"v1", "v2"} {
		m.Usher("run", "-n", "tutorial", "--service", "versions", "--version", v, "--protocol", "http", "--detach", "--", "env", serveVersion+"="+v, self)
	}
	m.Apply(versionsRoute)
	get := func(path, user string) harness.Answer {
		req, err := http.NewRequest(http.MethodGet, "http://"+m.GatewayURL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = "versions.example"
		if user != "" {
			req.Header.Set("X-User", user)
		}
		a, err := harness.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	count := func(n int, path string) (failed int) {
		for range n {
			switch a := get(path, ""); {
			case a.Status == http.StatusServiceUnavailable && a.Body == "v2":
				failed++
			case a.Status != http.StatusOK:
				t.Fatalf("%s: %+v", path, a)
			}
		}
		return failed
	}
	for _, v := range []string{"v1", "v2"} {
		harness.Eventually(t, 20*time.Second, v+" answers", func() (bool, any) {
			a := get("/", "")
			return a.Status == http.StatusOK && a.Body == v, a
		})
	}
	if n := count(60, "/broken"); n < 10 {
		t.Errorf("without a rule %d of 60 calls fail, want about half", n)
	}

	m.Apply(fmt.Sprintf(versionsRule, "loadBalancer: {simple: ROUND_ROBIN}, outlierDetection: {consecutive5xxErrors: 4, baseEjectionTime: 10m, maxEjectionPercent: 100}"))
	if n := count(60, "/broken"); n != 4 {
		t.Errorf("%d calls fail until the endpoint is ejected, want 4", n)
	}

	m.Apply(fmt.Sprintf(versionsRule, "loadBalancer: {consistentHash: {httpHeaderName: x-user}}"))
	of, users := map[string]string{}, map[string]int{}
	for round := range 5 {
		for i := range 40 {
			user := fmt.Sprint("user-", i)
			a := get("/", user)
			if a.Status != http.StatusOK {
				t.Fatalf("%s: %+v", user, a)
			}
			if round == 0 {
				of[user] = a.Body
				users[a.Body]++
			} else if of[user] != a.Body {
				t.Fatalf("%s comes to %s after %s", user, a.Body, of[user])
			}
		}
	}
	if users["v1"] == 0 || users["v2"] == 0 {
		t.Errorf("users of the versions: %v", users)
	}
}
