package ca

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"go.uber.org/goleak"

	"github.com/usher-mesh/usher/internal/identity"
	"github.com/usher-mesh/usher/internal/identity/identitytest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var customer = spiffeid.RequireFromString("spiffe://cluster.local/ns/tutorial/sa/customer")

func open(t *testing.T, dir string, o Options) *Authority {
	t.Helper()
	a, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func ecKey(t *testing.T, c elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(c, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestRootIsKept(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "pki")
	a := open(t, dir, Options{})
	root, err := identity.ParseCertificates(a.RootPEM())
	if err != nil || len(root) != 1 {
		t.Fatalf("root %v, %v", root, err)
	}
	if life := root[0].NotAfter.Sub(root[0].NotBefore); life < 9*365*24*time.Hour {
		t.Errorf("root lives %s", life)
	}
	fi, err := os.Stat(filepath.Join(dir, rootKeyFile))
	if err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("key: %v, %v", fi, err)
	}
	if again := open(t, dir, Options{}); !bytes.Equal(again.RootPEM(), a.RootPEM()) {
		t.Error("the second start has another root")
	}
}

func TestDamagedFolder(t *testing.T) {
	for _, tt := range []struct {
		name   string
		damage func(t *testing.T, dir string) error
		want   string
	}{
		{"key others can read", func(t *testing.T, dir string) error { return os.Chmod(filepath.Join(dir, rootKeyFile), 0o644) },
			"others can use this private key (mode 0644, not 0600)"},
		{"no key", func(t *testing.T, dir string) error { return os.Remove(filepath.Join(dir, rootKeyFile)) }, "no such file"},
		{"key of another", func(t *testing.T, dir string) error {
			text, err := identity.EncodeKey(ecKey(t, elliptic.P256()))
			return errors.Join(err, os.WriteFile(filepath.Join(dir, rootKeyFile), text, 0o600))
		}, "the private key is not this certificate's"},
		{"key cut", func(t *testing.T, dir string) error { return os.Truncate(filepath.Join(dir, rootKeyFile), 50) }, "private key is not PEM"},
		{"certificate cut", func(t *testing.T, dir string) error { return os.Truncate(filepath.Join(dir, rootCertFile), 50) },
			"text after certificate 0 is not PEM"},
		{"extra roots garbage", func(t *testing.T, dir string) error {
			return os.WriteFile(filepath.Join(dir, extraRootsFile), []byte("x"), 0o644)
		}, "text after certificate 0 is not PEM"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			open(t, dir, Options{})
			if err := tt.damage(t, dir); err != nil {
				t.Fatal(err)
			}
			_, err := Open(dir, Options{})
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), dir) {
				t.Fatalf("error %v, want %q and the file", err, tt.want)
			}
		})
	}
	t.Run("expired", func(t *testing.T) {
		dir := t.TempDir()
		open(t, dir, Options{})
		_, err := Open(dir, Options{Now: func() time.Time { return time.Now().Add(11 * 365 * 24 * time.Hour) }})
		if err == nil || !strings.Contains(err.Error(), "expired at ") {
			t.Fatalf("error %v", err)
		}
	})
}

func TestIssue(t *testing.T) {
	now := time.Now().Truncate(time.Second) // certificates know no parts of one
	a := open(t, t.TempDir(), Options{Now: func() time.Time { return now }})
	pool, err := a.Roots()
	if err != nil {
		t.Fatal(err)
	}
	for ttl, want := range map[time.Duration]time.Duration{
		0: MaxTTL, -time.Hour: MaxTTL, time.Hour: time.Hour, 1000 * time.Hour: MaxTTL,
	} {
		chain, err := a.Issue(customer, ecKey(t, elliptic.P256()).Public(), ttl)
		if err != nil {
			t.Fatal(err)
		}
		for _, use := range []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth} {
			id, err := identity.Verify(chain, pool, use, now)
			if err != nil || id != customer {
				t.Fatalf("%v, %v", id, err)
			}
		}
		leaf := chain[0]
		if got := leaf.NotAfter.Sub(now); got != want {
			t.Errorf("ttl %s: lives %s, want %s", ttl, got, want)
		}
		if len(leaf.DNSNames)+len(leaf.IPAddresses)+len(leaf.EmailAddresses) > 0 || leaf.IsCA || leaf.Subject.String() != "" {
			t.Errorf("more than the identity: %v %v %q", leaf.DNSNames, leaf.IPAddresses, leaf.Subject)
		}
	}
	t.Setenv("GODEBUG", "rsa1024min=0")
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		id   spiffeid.ID
		pub  any
		want string
	}{
		{customer, small.Public(), "RSA key has 1024 bits, not 2048 to 8192"},
		{customer, ecKey(t, elliptic.P224()).Public(), "elliptic curve has 224 bits, fewer than 256"},
		{customer, "key", "keys of type string are not accepted"},
		{spiffeid.RequireFromString("spiffe://other/ns/a/sa/b"), ecKey(t, elliptic.P256()).Public(),
			"spiffe://other/ns/a/sa/b is not of the trust domain cluster.local: denied"},
	} {
		if _, err := a.Issue(tt.id, tt.pub, 0); err == nil || err.Error() != tt.want {
			t.Errorf("error %v, want %q", err, tt.want)
		}
	}
}

func TestServerSource(t *testing.T) {
	now := time.Now()
	a := open(t, t.TempDir(), Options{Now: func() time.Time { return now }})
	id, err := identity.ControlPlane("cluster.local")
	if err != nil {
		t.Fatal(err)
	}
	s, err := a.ServerSource(id, []string{"istiod.istio-system.svc", "localhost"}, []net.IP{net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	first, err := s.Certificate()
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"istiod.istio-system.svc", "localhost", "127.0.0.1"} {
		if err := first.Leaf.VerifyHostname(host); err != nil {
			t.Error(err)
		}
	}
	if got, err := identity.FromCertificate(first.Leaf); err != nil || got != id {
		t.Errorf("%v, %v", got, err)
	}
	now = now.Add(9 * time.Hour) // 37 %
	if c, _ := s.Certificate(); c != first {
		t.Error("renewed too early")
	}
	now = now.Add(6 * time.Hour) // 62 %
	c, err := s.Certificate()
	if err != nil || c == first || c.Leaf.NotAfter.Sub(now) < 23*time.Hour {
		t.Errorf("not renewed: %v", err)
	}
	// The control plane's identity is nobody else's.
	if _, err := a.Issue(id, ecKey(t, elliptic.P256()).Public(), 0); !errors.Is(err, ErrDenied) {
		t.Errorf("issued to a workload: %v", err)
	}
}

func TestIntermediate(t *testing.T) {
	now := time.Now()
	root, other := identitytest.New(t, "root", now), identitytest.New(t, "other", now)
	asCA := func(c *x509.Certificate) {
		c.IsCA, c.URIs, c.ExtKeyUsage = true, nil, nil
		c.KeyUsage = x509.KeyUsageCertSign
		c.NotAfter = now.Add(2 * time.Hour)
		c.Subject.CommonName = "intermediate"
	}
	key := ecKey(t, elliptic.P384())
	keyPEM, err := identity.EncodeKey(key)
	if err != nil {
		t.Fatal(err)
	}
	cert := root.Sign(t, "spiffe://x/y", key.Public(), asCA)[0]
	good := func() *Intermediate {
		return &Intermediate{Cert: identity.EncodeCertificates(cert), Key: keyPEM, Chain: identity.EncodeCertificates(cert, root.Cert), Root: root.PEM()}
	}
	dir := t.TempDir()
	a := open(t, dir, Options{Intermediate: good(), Now: func() time.Time { return now }})
	if files, _ := os.ReadDir(dir); len(files) > 0 {
		t.Errorf("files were written: %v", files)
	}
	chain, err := a.Issue(customer, ecKey(t, elliptic.P256()).Public(), 0)
	if err != nil {
		t.Fatal(err)
	}
	if len(chain) != 3 || !chain[1].Equal(cert) || !chain[2].Equal(root.Cert) {
		t.Errorf("chain of %d", len(chain))
	}
	if id, err := identity.Verify(chain, root.Pool(), x509.ExtKeyUsageClientAuth, now); err != nil || id != customer {
		t.Errorf("%v, %v", id, err)
	}
	if chain[0].NotAfter.After(cert.NotAfter) {
		t.Error("the leaf outlives its authority")
	}
	otherKey, err := identity.EncodeKey(other.Key)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, want string
		change     func(*Intermediate)
	}{
		{"another root", "ca-cert.pem does not lead to root-cert.pem: x509: certificate signed by unknown authority",
			func(i *Intermediate) { i.Root, i.Chain = other.PEM(), nil }},
		{"another key", "ca-cert.pem: the private key is not this certificate's", func(i *Intermediate) { i.Key = otherKey }},
		{"no authority", "ca-cert.pem: not a certificate of an authority", func(i *Intermediate) {
			i.Cert = identity.EncodeCertificates(root.Sign(t, "spiffe://x/y", key.Public())[0])
		}},
		{"no key", "ca-key.pem: private key is not PEM", func(i *Intermediate) { i.Key = nil }},
		{"garbage chain", "cert-chain.pem: text after certificate 0 is not PEM", func(i *Intermediate) { i.Chain = []byte("x") }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			i := good()
			tt.change(i)
			_, err := Open(dir, Options{Intermediate: i})
			if err == nil || err.Error() != "certificate authority: "+tt.want {
				t.Fatalf("error %v, want %q", err, tt.want)
			}
		})
	}
}

// A root is replaced in two starts: first both are trusted, then the new signs.
func TestTwoRoots(t *testing.T) {
	oldDir, newDir := t.TempDir(), t.TempDir()
	old := open(t, oldDir, Options{})
	next := open(t, newDir, Options{ExtraRoots: old.RootPEM()})
	if err := os.WriteFile(filepath.Join(oldDir, extraRootsFile), next.RootPEM(), 0o644); err != nil {
		t.Fatal(err)
	}
	old = open(t, oldDir, Options{})
	for _, pair := range [][2]*Authority{{old, next}, {next, old}} {
		chain, err := pair[0].Issue(customer, ecKey(t, elliptic.P256()).Public(), 0)
		if err != nil {
			t.Fatal(err)
		}
		pool, err := pair[1].Roots()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := identity.Verify(chain, pool, x509.ExtKeyUsageClientAuth, time.Now()); err != nil {
			t.Errorf("not trusted by the other: %v", err)
		}
	}
	certs, err := identity.ParseCertificates(old.RootPEM())
	if err != nil || len(certs) != 2 {
		t.Errorf("%d roots, %v", len(certs), err)
	}
}
