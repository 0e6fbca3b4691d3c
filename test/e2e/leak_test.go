package e2e

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/usher-mesh/usher/test/harness"
)

const everyLocation = `
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {name: every-location}
spec:
  jwtRules:
  - issuer: testing@secure.istio.io
    jwksUri: http://issuer.istio-system.svc.cluster.local/i/testing@secure.istio.io/jwks
    forwardOriginalToken: true
    fromHeaders: [{name: Authorization, prefix: "Bearer "}, {name: x-token, prefix: "Token "}]
    fromParams: [access_token, session_token]
    fromCookies: [session]
`

// TestTokensStayOutOfSight shows good and bad tokens at every location where they
// may stand. That no log, metric, dump or other file has a part of them is looked at
// when the mesh ends, as in every test. The gateway does not know which parameters
// the services behind it read.
func TestTokensStayOutOfSight(t *testing.T) {
	m := harness.Up(t)
	m.Apply(everyLocation)
	good, bad := mint(m), harness.Token(t, "invalid.jwt")
	send := func(query string, header http.Header) harness.Answer {
		t.Helper()
		req, err := http.NewRequest(http.MethodGet, "http://"+m.GatewayURL+"/customer"+query, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header = header
		a, err := harness.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	for name, carry := range map[string]func(token string) (query string, header http.Header){
		"header":        func(s string) (string, http.Header) { return "", http.Header{"Authorization": {"Bearer " + s}} },
		"other case":    func(s string) (string, http.Header) { return "", http.Header{"Authorization": {"bEaReR " + s}} },
		"own header":    func(s string) (string, http.Header) { return "", http.Header{"X-Token": {"Token " + s}} },
		"parameter":     func(s string) (string, http.Header) { return "?a=b&access_token=" + s, http.Header{} },
		"encoded name":  func(s string) (string, http.Header) { return "?%61ccess%5Ftoken=" + s, http.Header{} },
		"own parameter": func(s string) (string, http.Header) { return "?session_token=" + s, http.Header{} },
		"cookie": func(s string) (string, http.Header) {
			return "", http.Header{"Cookie": {"a=b; session=" + s + "; c=d"}}
		},
	} {
		query, header := carry(good)
		if a := send(query, header); a.Status != http.StatusOK {
			t.Errorf("%s: a good token: %d %q", name, a.Status, a.Body)
		}
		query, header = carry(bad)
		a := send(query, header)
		if a.Status != http.StatusUnauthorized {
			t.Errorf("%s: a bad token: %d %q", name, a.Status, a.Body)
		}
		signature := bad[strings.LastIndexByte(bad, '.')+1:]
		for k, v := range a.Header {
			if strings.Contains(strings.Join(v, " "), signature[:20]) {
				t.Errorf("%s: the answer's %s holds the token", name, k)
			}
		}
		if strings.Contains(a.Body, signature[:20]) {
			t.Errorf("%s: the answer holds the token", name)
		}
	}
	// There is a log of all that, in which tokens would be found.
	for _, w := range []string{"istio-system/istio-ingressgateway", "tutorial/customer-v1"} {
		harness.Eventually(t, 5*time.Second, w+": access log", func() (bool, any) {
			log, err := os.ReadFile(filepath.Join(m.Home, "workloads", w, "access.log"))
			return err == nil && strings.Count(string(log), "session_token=[redacted]") == 2, string(log)
		})
	}
}
