package identity_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
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

func TestRotating(t *testing.T) {
	mesh := identitytest.New(t, "mesh", time.Now())
	f := &fakeCA{t: t, ca: mesh}
	f.answer = f.sign(customer)
	rm := newRoom(t, mesh, serve(t, f, mesh.Source(t, istiod)))
	rm.TTL = 2 * time.Second
	r, err := identity.NewRotating(rm.RotatingOptions)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Certificate(); err != identity.ErrNoCertificate {
		t.Fatalf("before the first certificate: %v", err)
	}
	changes := make(chan struct{}, 100)
	r.OnChange(func() { changes <- struct{}{} })
	stop := run(t, r)
	wait(t, r.Ready(), "certificate")
	wait(t, changes, "change")
	first, err := r.Certificate()
	if err != nil {
		t.Fatal(err)
	}
	fi, err := os.Stat(filepath.Join(rm.CacheDir, "identity.pem"))
	if err != nil || fi.Mode().Perm() != 0o600 {
		t.Fatalf("cache: %v, %v", fi, err)
	}

	// A connection of the first certificate goes on while it is replaced.
	l, err := tls.Listen("tcp", "127.0.0.1:0", identity.ServerTLS(mesh.Source(t, preference), nil))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	echoed := make(chan struct{})
	go func() {
		defer close(echoed)
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		b := make([]byte, 1)
		for {
			if _, err := c.Read(b); err != nil {
				return
			}
			if _, err := c.Write(b); err != nil {
				return
			}
		}
	}()
	c, err := tls.Dial("tcp", l.Addr().String(), identity.ClientTLS(r, []string{preference}))
	if err != nil {
		t.Fatal(err)
	}
	ping := func() {
		t.Helper()
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		b := []byte{7}
		if _, err := c.Write(b); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Read(b); err != nil {
			t.Fatal(err)
		}
	}
	ping()
	write(t, rm.TokenFile, "join-token-2")
	wait(t, changes, "renewal")
	second, err := r.Certificate()
	if err != nil {
		t.Fatal(err)
	}
	if second.Leaf.Equal(first.Leaf) || bytes.Equal(second.Leaf.RawSubjectPublicKeyInfo, first.Leaf.RawSubjectPublicKeyInfo) {
		t.Fatal("renewed with the same key")
	}
	ping()
	_ = c.Close()
	<-echoed
	stop()
	seen := f.seen()
	if seen[0] != "Bearer join-token-1" || seen[len(seen)-1] != "Bearer join-token-2" {
		t.Fatalf("tokens %q: the file is not read anew", seen)
	}
	if strings.Contains(rm.log.String(), "join-token") {
		t.Fatalf("the token is in the log:\n%s", rm.log)
	}
}

func TestRestartWithoutAuthority(t *testing.T) {
	mesh, other := identitytest.New(t, "mesh", time.Now()), identitytest.New(t, "other", time.Now())
	f := &fakeCA{t: t, ca: mesh}
	f.answer = f.sign(customer)
	rm := newRoom(t, mesh, serve(t, f, mesh.Source(t, istiod)))
	r, err := identity.NewRotating(rm.RotatingOptions)
	if err != nil {
		t.Fatal(err)
	}
	stop := run(t, r)
	wait(t, r.Ready(), "certificate")
	stop()
	first, err := r.Certificate()
	if err != nil {
		t.Fatal(err)
	}

	rm.CAAddr = "127.0.0.1:1" // nobody
	again, err := identity.NewRotating(rm.RotatingOptions)
	if err != nil {
		t.Fatal(err)
	}
	wait(t, again.Ready(), "cached certificate")
	c, err := again.Certificate()
	if err != nil || !c.Leaf.Equal(first.Leaf) {
		t.Fatalf("another certificate than the cached one, %v", err)
	}
	sErr, cErr, _ := handshake(t, identity.ServerTLS(mesh.Source(t, preference), nil), identity.ClientTLS(again, []string{preference}))
	if sErr != nil || cErr != nil {
		t.Fatalf("the cached certificate does not serve: %v, %v", sErr, cErr)
	}

	cache := filepath.Join(rm.CacheDir, "identity.pem")
	good, err := os.ReadFile(cache)
	if err != nil {
		t.Fatal(err)
	}
	chain := strings.Index(string(good), "-----BEGIN CERTIFICATE")
	stranger := mesh.Issue(t, customer)
	tests := []struct {
		name    string
		content string
		change  func(*identity.RotatingOptions)
		log     string
	}{
		{name: "expired", change: func(o *identity.RotatingOptions) {
			o.Now = func() time.Time { return time.Now().Add(48 * time.Hour) }
		}, log: "x509: certificate has expired or is not yet valid"},
		{name: "another identity", change: func(o *identity.RotatingOptions) { o.ID = preference },
			log: "it is " + customer + ", expected " + preference},
		{name: "another trust domain", change: func(o *identity.RotatingOptions) { o.ID, o.Trust = "", "other.example" },
			log: "it is " + customer + ", not of the trust domain other.example"},
		{name: "another root", change: func(o *identity.RotatingOptions) { write(t, o.RootFile, string(other.PEM())) },
			log: "x509: certificate signed by unknown authority"},
		{name: "garbage", content: "garbage", log: "not PEM"},
		{name: "cut", content: string(good[:len(good)/3]), log: ""},
		{name: "no certificate", content: string(good[:chain]), log: "no certificate"},
		{name: "another key", content: string(good[:chain]) + string(identity.EncodeCertificates(stranger.Leaf)),
			log: "the certificate is not of our key"},
		{name: "huge", content: strings.Repeat("x", 1<<20), log: "bigger than 262144 bytes"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := rm.RotatingOptions
			write(t, cache, string(good))
			if tt.content != "" {
				write(t, cache, tt.content)
			}
			if tt.change != nil {
				tt.change(&o)
			}
			defer write(t, o.RootFile, string(mesh.PEM()))
			var log bytes.Buffer
			o.Log = slog.New(slog.NewTextHandler(&log, nil))
			r, err := identity.NewRotating(o)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := r.Certificate(); err != identity.ErrNoCertificate {
				t.Fatalf("Certificate gives %v", err)
			}
			if !strings.Contains(log.String(), tt.log) {
				t.Fatalf("log %q, want %q", log.String(), tt.log)
			}
			if strings.Contains(log.String(), "PRIVATE") {
				t.Fatal("the log has a key")
			}
		})
	}
}

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
