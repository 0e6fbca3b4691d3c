package listener_test

import (
	ctls "crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/usher-mesh/usher/internal/proxy/filter"
	"github.com/usher-mesh/usher/internal/proxy/filter/rbac"
	proxytls "github.com/usher-mesh/usher/internal/proxy/tls"
)

// twoRoots has the mesh's roots and those of a gateway's clients.
type twoRoots struct {
	*secrets
	clients *x509.CertPool
}

func (s twoRoots) Roots(name string) (*x509.CertPool, error) {
	switch name {
	case proxytls.OwnRoots:
		return s.secrets.Roots(name)
	case "kubernetes://a/clients-cacert", "ROOTCA":
		return s.clients, nil
	}
	return nil, errors.New("no such roots")
}

// adsRoots are roots that come over ADS.
func adsRoots(name string) string {
	return `validation_context_sds_secret_config: {name: "` + name + `", sds_config: {ads: {}}}`
}

// TestForeignAuthority: the authority of a gateway's clients cannot make identities of
// the mesh. Its clients are let in by the gateway and are nobody to policy and services.
func TestForeignAuthority(t *testing.T) {
	mesh, clients := newAuthority(t), newAuthority(t)
	soon := time.Now().Add(time.Hour)
	roots := x509.NewCertPool()
	roots.AddCert(clients.cert)
	text := inbound("STRICT")
	rules := `{policies: {p: {permissions: [{any: true}], principals: [{and_ids: {ids: [{authenticated: {principal_name: {exact: "` + uriA + `"}}}, {authenticated: {principal_name: {prefix: "spiffe://"}}}]}}]}}}`
	guard := "http_filters:\n      - {name: rbac, typed_config: {\"@type\": \"" + rbac.Factory(nil).TypeURL + "\", rules: " + rules + "}}"
	for name, tt := range map[string]struct {
		roots string
		by    *authority
		named bool
	}{
		"the mesh's":                   {rootB, mesh, true},
		"a gateway's":                  {adsRoots("kubernetes://a/clients-cacert"), clients, false},
		"another's of the mesh's name": {adsRoots("ROOTCA"), clients, false},
	} {
		for _, mode := range []string{"SANITIZE_SET", "APPEND_FORWARD", "FORWARD_ONLY"} {
			t.Run(name+" "+mode, func(t *testing.T) {
				p := newProxy(t, twoRoots{newSecrets(mesh, mesh.issue(t, uriB, soon)), roots})
				p.opts.Filters = []filter.Factory{rbac.Factory(nil)}
				p.cluster(staticCluster("up", backend(t, echo), ""))
				here := strings.NewReplacer(rootB, tt.roots, "SANITIZE_SET", mode).Replace(text)
				p.start(here)
				ask := func() *http.Response {
					c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &ctls.Config{
						InsecureSkipVerify: true, Certificates: []ctls.Certificate{*tt.by.issue(t, uriA, soon)}}}}
					rq, _ := http.NewRequest("GET", "https://"+p.addr+"/", nil)
					rq.Header.Set("X-Forwarded-Client-Cert", "URI="+uriC)
					rs, err := c.Do(rq)
					if err != nil {
						t.Fatal(err)
					}
					rs.Body.Close()
					return rs
				}
				got := ask().Header.Get("Got-X-Forwarded-Client-Cert")
				if strings.Contains(got, uriA) != (tt.named && mode != "FORWARD_ONLY") || strings.Contains(got, uriC) != (tt.named && mode != "SANITIZE_SET") {
					t.Errorf("the service is told %q", got)
				}
				if !tt.named && mode != "FORWARD_ONLY" && !strings.Contains(got, "Hash=") {
					t.Errorf("the service is not told which certificate: %q", got)
				}
				if err := p.Swap(p.compile(strings.Replace(here, "http_filters:", guard, 1))); err != nil {
					t.Fatal(err)
				}
				if s := ask().StatusCode; (s == 200) != tt.named {
					t.Errorf("as an identity of the mesh: %d", s)
				}
			})
		}
	}
}
