package e2e

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/usher-mesh/usher/test/harness"
)

// TestAPIWithoutCredentials wants 401 for everything but health.
func TestAPIWithoutCredentials(t *testing.T) {
	m := harness.UpWith(t)
	_, url := m.API()
	anonymous := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, // who asks is the matter here
	}}
	join, err := os.ReadFile(filepath.Join(m.Home, "workloads/istio-system/istio-ingressgateway/token"))
	if err != nil {
		t.Fatal(err)
	}
	get := func(path, token string) int {
		req, err := http.NewRequest(http.MethodGet, url+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if token != "" {
			req.Header.Set("Authorization", "Bearer "+token)
		}
		resp, err := anonymous.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	for _, p := range []string{"/", "/api", "/apis", "/api/v1/namespaces", "/api/v1/secrets", "/api/v1/namespaces/istio-system/secrets",
		"/openapi/v2", "/openapi/v3", "/metrics", "/debug/pprof/", "/apis/networking.istio.io/v1/gateways", "/nonsense",
		"/apis/apiextensions.k8s.io/v1/customresourcedefinitions"} {
		if got := get(p, ""); got != http.StatusUnauthorized {
			t.Errorf("GET %s without credentials: %d", p, got)
		}
		if got := get(p, "nonsense"); got != http.StatusUnauthorized {
			t.Errorf("GET %s with a false token: %d", p, got)
		}
		if got := get(p, string(join)); got != http.StatusUnauthorized {
			t.Errorf("GET %s with a join token: %d", p, got)
		}
	}
	for _, p := range []string{"/healthz", "/livez", "/readyz"} {
		if got := get(p, ""); got != http.StatusOK {
			t.Errorf("GET %s: %d", p, got)
		}
	}
	// A service account's own token opens the door and nothing behind it.
	token := strings.TrimSpace(m.Kubectl("create", "token", "default", "-n", "default"))
	if got := get("/api/v1/secrets", token); got != http.StatusForbidden {
		t.Errorf("GET secrets as a service account: %d", got)
	}
}

// TestFilesAreTheOwners wants every file of a home closed to others, and sockets
// and folders too.
func TestFilesAreTheOwners(t *testing.T) {
	m := harness.Up(t)
	m.MustGet("/customer", mint(m))
	err := filepath.WalkDir(m.Home, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		fi, err := d.Info()
		if err != nil {
			return err
		}
		if fi.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: mode %v", strings.TrimPrefix(p, m.Home), fi.Mode())
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// TestPortsAreDocumented wants every port that usher's processes listen on in the
// README's table, by the address it is bound to.
func TestPortsAreDocumented(t *testing.T) {
	harness.Need(t, "ss")
	m := harness.Up(t)
	out, err := exec.Command("ss", "-ltnp").Output()
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]string{} // address -> name in the README's table
	var up map[string]any
	data, err := os.ReadFile(filepath.Join(m.Home, "up.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &up); err != nil {
		t.Fatal(err)
	}
	for key, name := range map[string]string{"api": "API", "xds": "xDS", "ca": "CA", "mirror": "key set mirror", "issuer": "development issuer"} {
		known[strings.TrimPrefix(up[key].(string), "https://")] = name
	}
	for _, w := range m.Status() {
		for _, a := range w.Addresses.Inbound {
			known[a] = "inbound"
		}
		known[w.Addresses.Outbound] = "outbound"
		known[w.Addresses.Admin] = "admin"
		for _, a := range w.Gateway {
			known[a] = "gateway"
		}
	}
	readme, err := os.ReadFile(filepath.Join(harness.Root(), "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, line := range strings.Split(string(out), "\n") {
		f := strings.Fields(line)
		if len(f) < 6 || !ours(m, f[5]) {
			continue
		}
		found++
		name, ok := known[f[3]]
		if !ok {
			t.Errorf("a port that nobody names: %s", line)
		} else if !strings.Contains(string(readme), "| "+name+" |") {
			t.Errorf("README's table of ports has no row %q (%s)", name, f[3])
		}
	}
	if found < 10 {
		t.Errorf("only %d ports of usher found:\n%s", found, out)
	}
}

var pidOf = regexp.MustCompile(`\("(usher|usher-proxy)",pid=(\d+)`)

// ours tells whether the socket is that of one of this mesh's processes.
func ours(m *harness.Mesh, users string) bool {
	p := pidOf.FindStringSubmatch(users)
	if p == nil {
		return false
	}
	environ, _ := os.ReadFile(filepath.Join("/proc", p[2], "environ"))
	cmdline, _ := os.ReadFile(filepath.Join("/proc", p[2], "cmdline"))
	return strings.Contains(string(environ)+string(cmdline), m.Home)
}

// TestEtcdHasNoPort wants etcd on sockets of the owner's alone.
func TestEtcdHasNoPort(t *testing.T) {
	m := harness.UpWith(t)
	sockets := 0
	err := filepath.WalkDir(filepath.Join(m.Home, "run"), func(p string, d fs.DirEntry, err error) error {
		if err == nil && d.Type()&fs.ModeSocket != 0 {
			sockets++
		}
		return err
	})
	if err != nil || sockets == 0 {
		t.Fatalf("%d sockets, %v", sockets, err)
	}
	for _, port := range []string{"2379", "2380"} {
		out, _ := exec.Command("ss", "-ltn", "sport = :"+port).Output()
		if strings.Contains(string(out), ":"+port) {
			t.Errorf("something listens on etcd's port %s", port)
		}
	}
}

// TestServersShowTheirIdentity wants the control plane identity on each mTLS port,
// and no word to a client without a certificate.
func TestServersShowTheirIdentity(t *testing.T) {
	m := harness.UpWith(t)
	var up struct{ XDS, CA, Mirror string }
	data, err := os.ReadFile(filepath.Join(m.Home, "up.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &up); err != nil {
		t.Fatal(err)
	}
	for name, addr := range map[string]string{"xds": up.XDS, "ca": up.CA, "mirror": up.Mirror} {
		var leaf *x509.Certificate
		c, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2", "http/1.1"},
			VerifyConnection: func(cs tls.ConnectionState) error { leaf = cs.PeerCertificates[0]; return nil }})
		if err == nil {
			// TLS 1.3 tells a client of its missing certificate with the first read.
			c.SetReadDeadline(time.Now().Add(5 * time.Second))
			if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err == nil && name != "ca" {
				if n, err := c.Read(make([]byte, 1)); err == nil {
					t.Errorf("%s: %d bytes for a client without a certificate", name, n)
				}
			}
			c.Close()
		}
		if leaf == nil || len(leaf.URIs) != 1 || leaf.URIs[0].String() != "spiffe://cluster.local/ns/istio-system/sa/istiod" {
			t.Errorf("%s: certificate %v", name, leaf)
		}
	}
}
