package identity_test

import (
	"bytes"
	"crypto/tls"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/usher-mesh/usher/internal/identity"
	"github.com/usher-mesh/usher/internal/identity/identitytest"
)

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
