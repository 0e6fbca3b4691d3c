package pki

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func load(t *testing.T, dir string, now time.Time) *Files {
	t.Helper()
	f, err := Load(dir, now)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func verify(t *testing.T, roots []byte, p Pair, now time.Time, usage x509.ExtKeyUsage) {
	t.Helper()
	pair, err := tls.X509KeyPair(p.Cert, p.Key)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(roots)
	if _, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: pool, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{usage}}); err != nil {
		t.Error(err)
	}
}

func TestRenewal(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "pki")
	now := time.Now()
	first := load(t, dir, now)
	again := load(t, dir, now.Add(30*24*time.Hour))
	if !bytes.Equal(first.Admin.Cert, again.Admin.Cert) || !bytes.Equal(first.Server.Cert, again.Server.Cert) {
		t.Error("renewed after a month")
	}
	for _, later := range []time.Duration{leafLife - renewBefore + time.Hour, 2 * leafLife, authorityLife - time.Hour, authorityLife + leafLife} {
		at := now.Add(later)
		f := load(t, dir, at)
		verify(t, f.ServerCA, f.Server, at.Add(renewBefore-time.Hour), x509.ExtKeyUsageServerAuth)
		verify(t, f.ClientCA, f.Admin, at.Add(renewBefore-time.Hour), x509.ExtKeyUsageClientAuth)
		verify(t, f.ClientCA, f.ControlPlane, at.Add(renewBefore-time.Hour), x509.ExtKeyUsageClientAuth)
		if !f.Tokens.Equal(first.Tokens) {
			t.Error("another key for tokens")
		}
	}
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(files) != 11 {
		t.Errorf("%d files, want 11: %v", len(files), files)
	}
	for _, f := range files {
		if fi, err := os.Stat(f); err != nil || fi.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v %v", f, fi.Mode(), err)
		}
	}
}

func TestSpoiledFileIsNamed(t *testing.T) {
	for _, name := range []string{"apiserver-ca.key", "apiserver-ca.crt", "admin.crt", "service-account.key"} {
		dir := t.TempDir()
		load(t, dir, time.Now())
		if err := os.WriteFile(filepath.Join(dir, name), []byte("spoiled"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(dir, time.Now()); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
