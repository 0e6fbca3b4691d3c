package ca

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	securityv1alpha1 "istio.io/api/security/v1alpha1"

	"github.com/usher-mesh/usher/internal/identity"
)

// tokens is a reviewer that knows some tokens by heart.
type tokens map[string][2]string

func (ts tokens) Review(_ context.Context, token, audience string) (string, string, error) {
	if audience != Audience {
		return "", "", fmt.Errorf("audience %q: %w", audience, ErrDenied)
	}
	if token == "broken" {
		return "", "", errors.New("the API server is away")
	}
	a, ok := ts[token]
	if !ok {
		return "", "", ErrDenied
	}
	return a[0], a[1], nil
}

var known = tokens{
	"customer-token": {"tutorial", "customer"},
	"istiod-token":   {"istio-system", "istiod"},
	"odd-token":      {"tutorial", "a/b"},
}

func csr(t *testing.T, key crypto.Signer, mods ...func(*x509.CertificateRequest)) string {
	t.Helper()
	r := &x509.CertificateRequest{}
	for _, m := range mods {
		m(r)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, r, key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
}

func TestService(t *testing.T) {
	var log bytes.Buffer
	a := open(t, t.TempDir(), Options{})
	cp, err := identity.ControlPlane("cluster.local")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.ServerSource(cp, nil, nil); err != nil {
		t.Fatal(err)
	}
	s := NewService(a, known, slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	key := ecKey(t, elliptic.P256())
	good := csr(t, key)
	// A request whose signature is another's: its own key replaced.
	forged, _ := pem.Decode([]byte(good))
	other := ecKey(t, elliptic.P256())
	swapped := bytes.Replace(forged.Bytes, raw(t, key.Public()), raw(t, other.Public()), 1)
	swappedPEM := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: swapped}))

	for _, tt := range []struct {
		name string
		auth []string
		csr  string
		code codes.Code
		text string
	}{
		{"good", []string{"Bearer customer-token"}, good, codes.OK, ""},
		{"scheme in another case", []string{"bearer customer-token"}, good, codes.OK, ""},
		{"no token", nil, good, codes.Unauthenticated, "0 authorization values, not one"},
		{"two tokens", []string{"Bearer customer-token", "Bearer customer-token"}, good, codes.Unauthenticated, "2 authorization values, not one"},
		{"basic", []string{"Basic customer-token"}, good, codes.Unauthenticated, "authorization is not a bearer token"},
		{"empty", []string{"Bearer "}, good, codes.Unauthenticated, "authorization is not a bearer token"},
		{"unknown token", []string{"Bearer wrong"}, good, codes.Unauthenticated, "the token is not valid"},
		{"long token", []string{"Bearer " + strings.Repeat("x", 20<<10)}, good, codes.Unauthenticated, "the token is longer than 16384 bytes"},
		{"reviewer away", []string{"Bearer broken"}, good, codes.Unavailable, "the token cannot be reviewed now"},
		{"control plane's identity", []string{"Bearer istiod-token"}, good, codes.PermissionDenied, cp.String() + " is the control plane's own identity: denied"},
		{"odd account", []string{"Bearer odd-token"}, good, codes.PermissionDenied, ""},
		{"no CSR", []string{"Bearer customer-token"}, "", codes.InvalidArgument, "certificate request is not PEM of type CERTIFICATE REQUEST"},
		{"key instead", []string{"Bearer customer-token"}, "-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n", codes.InvalidArgument, "certificate request is not PEM of type CERTIFICATE REQUEST"},
		{"garbage CSR", []string{"Bearer customer-token"}, "-----BEGIN CERTIFICATE REQUEST-----\nAA==\n-----END CERTIFICATE REQUEST-----\n", codes.InvalidArgument, "certificate request cannot be read"},
		{"two CSRs", []string{"Bearer customer-token"}, good + good, codes.InvalidArgument, "text after the certificate request"},
		{"another's key", []string{"Bearer customer-token"}, swappedPEM, codes.InvalidArgument, "certificate request is not signed by its own key"},
		{"weak key", []string{"Bearer customer-token"}, csr(t, ecKey(t, elliptic.P224())), codes.InvalidArgument, "certificate request: elliptic curve has 224 bits, fewer than 256"},
		{"huge CSR", []string{"Bearer customer-token"}, strings.Repeat(" ", 20<<10), codes.InvalidArgument, "certificate request is bigger than 16384 bytes"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ctx := metadata.NewIncomingContext(t.Context(), metadata.MD{"authorization": tt.auth})
			rsp, err := s.CreateCertificate(ctx, &securityv1alpha1.IstioCertificateRequest{Csr: tt.csr, ValidityDuration: 1 << 62})
			if status.Code(err) != tt.code || tt.text != "" && status.Convert(err).Message() != tt.text {
				t.Fatalf("answer %v, want %s %q", err, tt.code, tt.text)
			}
			if err == nil && (len(rsp.CertChain) != 2 || rsp.CertChain[1] != string(a.RootPEM())) {
				t.Fatalf("chain %q", rsp.CertChain)
			}
		})
	}
	for _, secret := range []string{"customer-token", "istiod-token", "wrong"} {
		if strings.Contains(log.String(), secret) {
			t.Errorf("the log has the token %q", secret)
		}
	}
}

func raw(t *testing.T, pub crypto.PublicKey) []byte {
	t.Helper()
	k, err := pub.(*ecdsa.PublicKey).Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// Whatever a request names, the certificate names whose token it is.
func TestNamesInRequestsAreIgnored(t *testing.T) {
	a := open(t, t.TempDir(), Options{})
	s := NewService(a, known, nil)
	ctx := metadata.NewIncomingContext(t.Context(), metadata.Pairs("authorization", "Bearer customer-token"))
	u, err := url.Parse("spiffe://cluster.local/ns/tutorial/sa/preference")
	if err != nil {
		t.Fatal(err)
	}
	rsp, err := s.CreateCertificate(ctx, &securityv1alpha1.IstioCertificateRequest{Csr: csr(t, ecKey(t, elliptic.P256()), func(r *x509.CertificateRequest) {
		r.URIs, r.DNSNames, r.IPAddresses = []*url.URL{u}, []string{"istiod.istio-system.svc"}, []net.IP{net.IPv4(1, 2, 3, 4)}
		r.Subject.CommonName = "admin"
		r.Subject.Organization = []string{"system:masters"}
	})})
	if err != nil {
		t.Fatal(err)
	}
	certs, err := identity.ParseCertificates([]byte(rsp.CertChain[0]))
	if err != nil {
		t.Fatal(err)
	}
	c := certs[0]
	if id, err := identity.FromCertificate(c); err != nil || id != customer {
		t.Fatalf("identity %v, %v", id, err)
	}
	if len(c.DNSNames)+len(c.IPAddresses) > 0 || c.Subject.String() != "" {
		t.Fatalf("names %v %v %q", c.DNSNames, c.IPAddresses, c.Subject)
	}
}

// The whole way: service, CSR client and rotation over TLS and gRPC.
func TestRotatingWithService(t *testing.T) {
	dir := t.TempDir()
	a := open(t, dir, Options{})
	cp, err := identity.ControlPlane("cluster.local")
	if err != nil {
		t.Fatal(err)
	}
	own, err := a.ServerSource(cp, []string{"localhost"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := grpc.NewServer(append(GRPCOptions(), grpc.Creds(credentials.NewTLS(identity.ServerTLSOptionalClient(own))))...)
	securityv1alpha1.RegisterIstioCertificateServiceServer(srv, NewService(a, known, nil))
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { _ = srv.Serve(l) })
	defer srv.Stop()

	o := identity.RotatingOptions{CAAddr: l.Addr().String(), TokenFile: filepath.Join(dir, "token"), RootFile: filepath.Join(dir, "roots"), ID: customer.String()}
	if err := errors.Join(os.WriteFile(o.TokenFile, []byte("customer-token"), 0o600), os.WriteFile(o.RootFile, a.RootPEM(), 0o600)); err != nil {
		t.Fatal(err)
	}
	r, err := identity.NewRotating(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	wg.Go(func() { _ = r.Run(ctx) })
	defer cancel()
	select {
	case <-r.Ready():
	case <-time.After(20 * time.Second):
		t.Fatal("no certificate")
	}
	c, err := r.Certificate()
	if err != nil || len(c.Certificate) != 1 {
		t.Fatalf("%v: %d certificates are shown to peers", err, len(c.Certificate))
	}

	// A message beyond the bound does not reach the service.
	conn, err := grpc.NewClient("passthrough:///"+l.Addr().String(), grpc.WithTransportCredentials(credentials.NewTLS(identity.RootsTLS(own, []string{cp.String()}))))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, err = securityv1alpha1.NewIstioCertificateServiceClient(conn).CreateCertificate(t.Context(),
		&securityv1alpha1.IstioCertificateRequest{Csr: strings.Repeat("x", maxMessage+1)})
	if status.Code(err) != codes.ResourceExhausted {
		t.Fatalf("a big message: %v", err)
	}
}

func FuzzCSR(f *testing.F) {
	f.Add("-----BEGIN CERTIFICATE REQUEST-----\nAA==\n-----END CERTIFICATE REQUEST-----\n")
	f.Fuzz(func(t *testing.T, text string) {
		if r, err := parseCSR(text); err == nil && (r.CheckSignature() != nil || identity.CheckKey(r.PublicKey) != nil) {
			t.Fatal("accepted without proof of its key")
		}
	})
}
