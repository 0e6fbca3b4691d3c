// Package e2e runs the real programs: meshes of several processes, kubectl, curl,
// openssl and tcpdump, as a user would.
package e2e

import (
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/usher-mesh/usher/test/harness"
)

var open = regexp.MustCompile(`^customer => preference => recommendation v1 from 'recommendation-v1-[bcdfghjklmnpqrstvwxz2456789]{8,10}-[bcdfghjklmnpqrstvwxz2456789]{5}': [0-9]+\n$`)

func wantOpen(t *testing.T, m *harness.Mesh, token string) {
	t.Helper()
	a := m.MustGet("/customer", token)
	if a.Status != http.StatusOK || !open.MatchString(a.Body) {
		t.Fatalf("got %d %q, want 200 and the chapter's answer", a.Status, a.Body)
	}
}

func wantRefused(t *testing.T, m *harness.Mesh, token string, status int, body string) {
	t.Helper()
	a := m.MustGet("/customer", token)
	if a.Status != status || a.Body != body {
		t.Fatalf("got %d %q, want %d %q", a.Status, a.Body, status, body)
	}
}

func istiofile(name string) string { return filepath.Join(harness.Root(), "istiofiles", name) }

// createAndAwait does what the chapter does, and waits until it is in force.
func createAndAwait(m *harness.Mesh, file string) {
	m.T.Helper()
	m.Kubectl("create", "-f", istiofile(file))
	m.Kubectl("wait", "--for=condition=Programmed", "--timeout=20s", "-f", istiofile(file))
}

func deleteAndAwait(t *testing.T, m *harness.Mesh, file string) {
	t.Helper()
	m.Kubectl("delete", "-f", istiofile(file))
	harness.Eventually(t, 5*time.Second, "open again", func() (bool, any) {
		a, err := m.Get("/customer", "")
		return err == nil && a.Status == http.StatusOK, a
	})
}

func mint(m *harness.Mesh, args ...string) string {
	m.T.Helper()
	args = append([]string{"token", "mint", "--issuer", "testing@secure.istio.io", "--subject", "testing@secure.istio.io"}, args...)
	return strings.TrimSpace(m.Usher(args...))
}

func TestChapter(t *testing.T) {
	m := harness.Up(t)
	valid, invalid := harness.Token(t, "valid.jwt"), harness.Token(t, "invalid.jwt")
	for _, kind := range []string{"virtualservice", "destinationrule", "gateway", "policy"} {
		if out := m.Kubectl("get", kind); out != "No resources found in tutorial namespace.\n" {
			t.Errorf("kubectl get %s: %q", kind, out)
		}
	}
	for _, form := range []struct {
		name, file, missing, bad string
		missingStatus            int
	}{
		{"policy", "enduser-authentication-jwt.yml", "Origin Jwt is missing", "Origin Jwt verification fails", 401},
		{"istio", "enduser-authentication-jwt-istio.yml", "RBAC: access denied", "Jwt verification fails", 403},
	} {
		t.Run(form.name, func(t *testing.T) {
			wantOpen(t, m, "")
			createAndAwait(m, form.file)
			wantRefused(t, m, "", form.missingStatus, form.missing)
			wantRefused(t, m, invalid, 401, form.bad)
			wantOpen(t, m, valid)
			wantOpen(t, m, mint(m))
			// Step 1's curl, as the chapter has it, with the real curl.
			out, err := m.Run("curl", "-s", m.GatewayURL+"/customer", "-H", "Authorization: Bearer "+invalid)
			if err != nil || out != form.bad {
				t.Errorf("curl: %q, %v", out, err)
			}
			deleteAndAwait(t, m, form.file)
			wantOpen(t, m, "")
		})
	}
}

func TestExpiredAndForeignTokens(t *testing.T) {
	m := harness.Up(t)
	createAndAwait(m, "enduser-authentication-jwt.yml")
	wantRefused(t, m, mint(m, "--ttl", "-2m"), 401, "Origin Jwt is expired")
	other := strings.TrimSpace(m.Usher("token", "mint", "--issuer", "somebody@else", "--subject", "x"))
	wantRefused(t, m, other, 401, "Origin Jwt issuer is not configured")
}
