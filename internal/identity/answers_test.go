package identity_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"strings"
	"testing"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/usher-mesh/usher/internal/identity"
	"github.com/usher-mesh/usher/internal/identity/identitytest"
)

// What is not the mesh's authority gets no token.
func TestFalseAuthorityGetsNoToken(t *testing.T) {
	mesh, other := identitytest.New(t, "mesh", time.Now()), identitytest.New(t, "other", time.Now())
	for _, tt := range []struct {
		name   string
		server identity.Source
		log    string
	}{
		{"of another root", other.Source(t, istiod), "server: x509: certificate signed by unknown authority"},
		{"another service of the mesh", mesh.Source(t, customer), "server: it is " + customer + ", expected " + istiod},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := &fakeCA{t: t, ca: mesh}
			f.answer = f.sign(customer)
			client := &identity.CSRClient{
				Addr:  serve(t, f, tt.server),
				Roots: identity.Static{Pool: mesh.Pool()}, CAIDs: []string{istiod},
				Token: func() (string, error) { return "secret", nil }, Now: time.Now,
			}
			key := mesh.Issue(t, customer).PrivateKey.(crypto.Signer)
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			defer cancel()
			_, err := client.Sign(ctx, key, spiffeid.ID{}, time.Hour)
			if err == nil || !strings.Contains(err.Error(), tt.log) {
				t.Fatalf("error %v, want %q", err, tt.log)
			}
			if got := f.seen(); len(got) > 0 {
				t.Fatalf("it was shown %q", got)
			}
		})
	}
}

// Answers of an authority that is known but wrong are refused, and the next try
// can succeed.
func TestWrongAnswers(t *testing.T) {
	mesh, other := identitytest.New(t, "mesh", time.Now()), identitytest.New(t, "other", time.Now())
	f := &fakeCA{t: t, ca: mesh}
	rm := newRoom(t, mesh, serve(t, f, mesh.Source(t, istiod)))
	rm.CacheDir = ""
	f2 := &fakeCA{t: t, ca: other}
	r, err := identity.NewRotating(rm.RotatingOptions)
	if err != nil {
		t.Fatal(err)
	}
	stranger := identity.EncodeCertificates(mesh.Issue(t, customer).Leaf)
	for _, tt := range []struct {
		name, want string
		answer     func(*x509.CertificateRequest, time.Duration) ([]string, error)
	}{
		{"another identity", "it is " + preference + ", expected " + customer, f.sign(preference)},
		{"no URI", "certificate has no URI SAN", f.sign(customer, noURI)},
		{"two URIs", "certificate has 2 URI SANs, not one", f.sign(customer, twoURIs)},
		{"client use alone", "incompatible key usage", f.sign(customer, onlyFor(x509.ExtKeyUsageClientAuth))},
		{"another root", "x509: certificate signed by unknown authority", f2.sign(customer)},
		{"another key", "the certificate is not of our key", func(*x509.CertificateRequest, time.Duration) ([]string, error) {
			return []string{string(stranger)}, nil
		}},
		{"nothing", "no certificate", func(*x509.CertificateRequest, time.Duration) ([]string, error) { return nil, nil }},
		{"no PEM", "text after certificate 0 is not PEM", func(*x509.CertificateRequest, time.Duration) ([]string, error) {
			return []string{"hello"}, nil
		}},
		{"many", "answer has 17 certificates, more than 16", func(*x509.CertificateRequest, time.Duration) ([]string, error) {
			return []string{strings.Repeat(string(stranger), 17)}, nil
		}},
		{"refusal", "code = Unauthenticated desc = the token is not valid", func(*x509.CertificateRequest, time.Duration) ([]string, error) {
			return nil, status.Error(codes.Unauthenticated, "the token is not valid")
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f.answer = tt.answer
			err := r.Renew(context.Background())
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("error %v, want %q", err, tt.want)
			}
			if _, err := r.Certificate(); err != identity.ErrNoCertificate {
				t.Fatalf("Certificate gives %v", err)
			}
		})
	}
	f.answer = f.sign(customer)
	for _, tt := range []struct{ content, want string }{
		{"", "is empty"}, {"two tokens", "does not hold one token"}, {"a\nb", "does not hold one token"},
		{strings.Repeat("x", 1<<17), "bigger than 65536 bytes"},
	} {
		write(t, rm.TokenFile, tt.content)
		if err := r.Renew(context.Background()); err == nil || !strings.HasSuffix(err.Error(), tt.want) {
			t.Fatalf("error %v, want %q", err, tt.want)
		}
	}
	write(t, rm.TokenFile, "good")
	if err := r.Renew(context.Background()); err != nil {
		t.Fatal(err)
	}
}

// While a root replaces another both are trusted; a certificate that the new
// roots refuse is renewed.
func TestRootsChange(t *testing.T) {
	old, next := identitytest.New(t, "old", time.Now()), identitytest.New(t, "next", time.Now())
	f := &fakeCA{t: t, ca: old}
	f.answer = f.sign(customer)
	rm := newRoom(t, old, serve(t, f, old.Source(t, istiod)))
	r, err := identity.NewRotating(rm.RotatingOptions)
	if err != nil {
		t.Fatal(err)
	}
	if changed := r.RefreshRoots(); changed {
		t.Fatal("the same file is a change")
	}
	write(t, rm.RootFile, "broken")
	if changed := r.RefreshRoots(); changed || !bytes.Equal(r.RootsPEM(), old.PEM()) {
		t.Fatal("a broken file replaced the roots")
	}
	if err := r.Renew(context.Background()); err != nil {
		t.Fatal(err)
	}
	write(t, rm.RootFile, string(old.PEM())+string(next.PEM()))
	if !r.RefreshRoots() || !r.Stands() {
		t.Fatal("with both roots the certificate does not stand")
	}
	sErr, cErr, _ := handshake(t, identity.ServerTLS(r, nil), identity.ClientTLS(
		identity.Static{Cert: next.Issue(t, preference), Pool: old.Pool()}, []string{customer}))
	if sErr != nil || cErr != nil {
		t.Fatalf("a peer of the new root: %v, %v", sErr, cErr)
	}
	write(t, rm.RootFile, string(next.PEM()))
	if !r.RefreshRoots() || r.Stands() {
		t.Fatal("without the old root the certificate still stands")
	}
}

func TestBackoff(t *testing.T) {
	mesh := identitytest.New(t, "mesh", time.Now())
	f := &fakeCA{t: t, ca: mesh}
	f.answer = f.sign(customer)
	rm := newRoom(t, mesh, serve(t, f, mesh.Source(t, istiod)))
	random := 0.0
	rm.Rand = func() float64 { return random }
	r, err := identity.NewRotating(rm.RotatingOptions)
	if err != nil {
		t.Fatal(err)
	}
	grow := func(top time.Duration) {
		t.Helper()
		random = 0.999999
		p := time.Duration(0)
		for range 20 {
			p = r.Backoff(p)
		}
		if p > top || p < top*9/10 {
			t.Fatalf("grows to %s, want %s", p, top)
		}
		random = 0
		if q := r.Backoff(p); q < top/2 || q > top {
			t.Fatalf("least pause %s of %s", q, top)
		}
	}
	grow(2 * time.Second) // there is no certificate: hurry
	if err := r.Renew(context.Background()); err != nil {
		t.Fatal(err)
	}
	grow(30 * time.Second)

	from := time.Now()
	end, err := r.Certificate()
	if err != nil {
		t.Fatal(err)
	}
	life := end.Leaf.NotAfter.Sub(from)
	random = 0
	early := r.RenewAt(from).Sub(from)
	random = 0.999999
	late := r.RenewAt(from).Sub(from)
	if early < life*39/100 || late > life*61/100 || late-early < life*19/100 {
		t.Fatalf("renewed between %s and %s of %s", early, late, life)
	}
}
