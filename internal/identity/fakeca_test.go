package identity_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"net"
	"os"
	"path/filepath"
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
	"github.com/usher-mesh/usher/internal/identity/identitytest"
)

const istiod = "spiffe://cluster.local/ns/istio-system/sa/istiod"

// fakeCA answers CSRs as a test says, over real gRPC and TLS.
type fakeCA struct {
	securityv1alpha1.UnimplementedIstioCertificateServiceServer
	t  *testing.T
	ca *identitytest.Authority

	mu     sync.Mutex
	tokens []string
	answer func(csr *x509.CertificateRequest, ttl time.Duration) ([]string, error)
}

func (f *fakeCA) CreateCertificate(ctx context.Context, rq *securityv1alpha1.IstioCertificateRequest) (*securityv1alpha1.IstioCertificateResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	md, _ := metadata.FromIncomingContext(ctx)
	f.tokens = append(f.tokens, md.Get("authorization")...)
	b, _ := pem.Decode([]byte(rq.Csr))
	if b == nil {
		return nil, status.Error(codes.InvalidArgument, "no PEM")
	}
	csr, err := x509.ParseCertificateRequest(b.Bytes)
	if err != nil {
		return nil, err
	}
	chain, err := f.answer(csr, time.Duration(rq.ValidityDuration)*time.Second)
	return &securityv1alpha1.IstioCertificateResponse{CertChain: chain}, err
}

func (f *fakeCA) seen() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string(nil), f.tokens...)
}

// sign is the honest answer.
func (f *fakeCA) sign(id string, mods ...mod) func(*x509.CertificateRequest, time.Duration) ([]string, error) {
	return func(csr *x509.CertificateRequest, ttl time.Duration) ([]string, error) {
		mods := append([]mod{func(c *x509.Certificate) {
			c.NotBefore, c.NotAfter = time.Now().Add(-time.Minute), time.Now().Add(ttl)
		}}, mods...)
		var out []string
		for _, c := range f.ca.Sign(f.t, id, csr.PublicKey, mods...) {
			out = append(out, string(identity.EncodeCertificates(c)))
		}
		return out, nil
	}
}

// serve starts the service as one who has the server identity.
func serve(t *testing.T, f *fakeCA, server identity.Source) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer(grpc.Creds(credentials.NewTLS(identity.ServerTLSOptionalClient(server))))
	securityv1alpha1.RegisterIstioCertificateServiceServer(s, f)
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Serve(l) }()
	t.Cleanup(func() { s.Stop(); <-done })
	return l.Addr().String()
}

// room is a workload's folder.
type room struct {
	identity.RotatingOptions
	log *bytes.Buffer
}

func newRoom(t *testing.T, ca *identitytest.Authority, addr string) room {
	t.Helper()
	dir := t.TempDir()
	log := &bytes.Buffer{}
	r := room{log: log, RotatingOptions: identity.RotatingOptions{
		CAAddr: addr, TokenFile: filepath.Join(dir, "token"), RootFile: filepath.Join(dir, "root-cert.pem"),
		CacheDir: filepath.Join(dir, "cache"), ID: customer,
		Log: slog.New(slog.NewTextHandler(&locked{w: log}, nil)),
	}}
	write(t, r.TokenFile, "join-token-1\n")
	write(t, r.RootFile, string(ca.PEM()))
	return r
}

type locked struct {
	mu sync.Mutex
	w  *bytes.Buffer
}

func (l *locked) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(b)
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// run runs r until stop is called, which the end of the test does too.
func run(t *testing.T, r *identity.Rotating) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	once := sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(once)
	return once
}

func wait(t *testing.T, c <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(20 * time.Second):
		t.Fatal("no " + what)
	}
}
