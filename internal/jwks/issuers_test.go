package jwks

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	ours "github.com/usher-mesh/usher/internal/jose"
)

// TestRealIssuers reads each file of testdata/issuers: documents as an issuer
// publishes them, and header and claims of its tokens, with ${RSA1.n} and the like in
// place of key material, and ${now+300} of times. The keys are got as for an object
// that names the issuer or a jwksUri, and verify a token of that form.
func TestRealIssuers(t *testing.T) {
	files, err := filepath.Glob("testdata/issuers/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no issuers", err)
	}
	now := time.Now()
	material := newMaterial(t, now)
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".txtar"), func(t *testing.T) {
			d := readIssuer(t, f, material)
			c := New(Options{Transport: d.documents})
			defer c.Close()
			target := Target{URI: d.rule["jwksUri"]}
			if target.URI == "" {
				doc := strings.TrimSuffix(d.rule["issuer"], "/") + "/.well-known/openid-configuration"
				target = Target{URI: doc + "#" + d.rule["issuer"], Issuer: d.rule["issuer"]}
			}
			c.Add(target)
			set, err := c.Get(context.Background(), target.URI, "")
			if want := d.rule["refused"]; want != "" {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Fatalf("error %v, want %q", err, want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if n := strconv.Itoa(set.Keys.Len()); n != d.rule["keys"] {
				t.Errorf("%s keys, want %s", n, d.rule["keys"])
			}
			warnings := strings.Join(c.States()[0].Warnings, "\n")
			if want := d.rule["warning"]; !strings.HasPrefix(warnings, want) || want == "" && warnings != "" {
				t.Errorf("warnings %q, want %q", warnings, want)
			}
			token := d.sign(t, material.signer(d.rule["signer"]))
			d.verify(t, set, token, now)
			// And as proxies get it from the mirror.
			mirrored, err := parse("uri", set.JSON, now)
			if err != nil {
				t.Fatal(err)
			}
			d.verify(t, mirrored, token, now)
			for n, other := range material.signers {
				if n == d.rule["signer"] {
					continue
				}
				if err := verify(set, d.sign(t, other)); err == nil {
					t.Errorf("a token that %s signed with the kid of %s passes", n, d.rule["signer"])
				}
			}
		})
	}
}

// documented is one file.
type documented struct {
	rule           map[string]string
	documents      documents
	header, claims string
}

func readIssuer(t *testing.T, file string, m *material) *documented {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	d := &documented{rule: map[string]string{}, documents: documents{}}
	for _, f := range txtar.Parse([]byte(os.Expand(string(b), m.value))).Files {
		switch text := string(f.Data); {
		case f.Name == "rule":
			for l := range strings.Lines(text) {
				k, v, _ := strings.Cut(strings.TrimSpace(l), ": ")
				d.rule[k] = v
			}
		case f.Name == "header.json":
			d.header = strings.TrimSpace(text)
		case f.Name == "claims.json":
			d.claims = strings.TrimSpace(text)
		default:
			if !json.Valid(f.Data) {
				t.Fatalf("%s: not JSON: %s", f.Name, text)
			}
			d.documents[f.Name] = f.Data
		}
	}
	return d
}

// documents are the web: what is where.
type documents map[string][]byte

func (d documents) RoundTrip(rq *http.Request) (*http.Response, error) {
	rsp := &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Request: rq}
	body, ok := d[rq.URL.String()]
	if !ok {
		rsp.StatusCode = http.StatusNotFound
	}
	rsp.Body = io.NopCloser(bytes.NewReader(body))
	return rsp, nil
}

// sign makes the token with exactly the header and claims of the file.
func (d *documented) sign(t *testing.T, key crypto.Signer) string {
	t.Helper()
	text := base64.RawURLEncoding.EncodeToString([]byte(d.header)) + "." + base64.RawURLEncoding.EncodeToString([]byte(d.claims))
	sum := sha256.Sum256([]byte(text))
	var sig []byte
	var err error
	switch k := key.(type) {
	case *rsa.PrivateKey:
		sig, err = rsa.SignPKCS1v15(nil, k, crypto.SHA256, sum[:])
	case *ecdsa.PrivateKey:
		var r, s *big.Int
		if r, s, err = ecdsa.Sign(rand.Reader, k, sum[:]); err == nil {
			sig = append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(sig)
}

func verify(s *Set, token string) error {
	tok, err := ours.Parse(token, 0)
	if err != nil {
		return err
	}
	_, err = s.Keys.Verify(tok)
	return err
}

// verify judges a good token, and the same with a claim changed.
func (d *documented) verify(t *testing.T, s *Set, token string, now time.Time) {
	t.Helper()
	tok, err := ours.Parse(token, 0)
	if err != nil {
		t.Fatal(err)
	}
	key, err := s.Keys.Verify(tok)
	if err != nil {
		t.Fatal(err)
	}
	if !s.Keys.Has(tok.KeyID) || key.ID() != tok.KeyID {
		t.Errorf("verified by %v, not by the key that the token names", key)
	}
	if err := tok.CheckTimes(now, 0); err != nil {
		t.Error(err)
	}
	if err := ours.NewAudiences(tok.Audience[:1]).Check(tok); err != nil {
		t.Error(err)
	}
	if tok.Issuer != d.rule["issuer"] {
		t.Errorf("issuer %q, want %q", tok.Issuer, d.rule["issuer"])
	}
	parts := strings.Split(token, ".")
	parts[1] = base64.RawURLEncoding.EncodeToString([]byte(strings.Replace(d.claims, `"sub":"`, `"sub":"x`, 1)))
	if err := verify(s, strings.Join(parts, ".")); ours.KindOf(err) != ours.VerificationFailed {
		t.Errorf("another subject: %v", err)
	}
}

// material is what stands for ${...}.
type material struct {
	now     time.Time
	values  map[string]string
	signers map[string]crypto.Signer
}

func (m *material) signer(name string) crypto.Signer { return m.signers[name] }

func newMaterial(t *testing.T, now time.Time) *material {
	t.Helper()
	m := &material{now: now, values: map[string]string{}, signers: map[string]crypto.Signer{}}
	for _, name := range []string{"RSA1", "RSA2"} {
		k, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			t.Fatal(err)
		}
		m.signers[name] = k
		m.values[name+".n"] = base64.RawURLEncoding.EncodeToString(k.N.Bytes())
		m.values[name+".e"] = base64.RawURLEncoding.EncodeToString(big.NewInt(int64(k.E)).Bytes())
		m.certificate(t, name, k)
	}
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	point, err := k.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	m.signers["EC1"] = k
	m.values["EC1.x"] = base64.RawURLEncoding.EncodeToString(point[1:33])
	m.values["EC1.y"] = base64.RawURLEncoding.EncodeToString(point[33:])
	return m
}

func (m *material) certificate(t *testing.T, name string, k crypto.Signer) {
	t.Helper()
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "issuer"},
		NotBefore: m.now.Add(-time.Hour), NotAfter: m.now.Add(24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, k.Public(), k)
	if err != nil {
		t.Fatal(err)
	}
	one, two := sha1.Sum(der), sha256.Sum256(der)
	m.values[name+".x5c"] = base64.StdEncoding.EncodeToString(der)
	m.values[name+".x5t"] = base64.RawURLEncoding.EncodeToString(one[:])
	m.values[name+".x5tS256"] = base64.RawURLEncoding.EncodeToString(two[:])
	text := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	m.values[name+".pem"] = strings.ReplaceAll(text, "\n", `\n`)
}

// value gives key material, or a time in seconds since 1970: now, now+300.
func (m *material) value(name string) string {
	if v, ok := m.values[name]; ok {
		return v
	}
	if off, ok := strings.CutPrefix(name, "now"); ok {
		n, err := strconv.Atoi(off)
		if err == nil || off == "" {
			return strconv.FormatInt(m.now.Unix()+int64(n), 10)
		}
	}
	panic(fmt.Sprintf("nothing stands for ${%s}", name)) // the test's own mistake
}
