package jwks

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// keySet makes a set of new public keys with these kids.
func keySet(t testing.TB, kids ...string) []byte {
	t.Helper()
	var s jose.JSONWebKeySet
	for _, kid := range kids {
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		s.Keys = append(s.Keys, jose.JSONWebKey{Key: k.Public(), KeyID: kid, Algorithm: "ES256", Use: "sig"})
	}
	b, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// newTestFetcher speaks to servers of the test, whose TLS it trusts.
func newTestFetcher(t *testing.T, trusted ...*httptest.Server) *fetcher {
	t.Helper()
	pool := x509.NewCertPool()
	for _, s := range trusted {
		pool.AddCert(s.Certificate())
	}
	tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, DisableKeepAlives: true}
	t.Cleanup(tr.CloseIdleConnections)
	f := newFetcher(tr, false, time.Now)
	f.timeout = 2 * time.Second
	return f
}

func fetchErr(t *testing.T, f *fetcher, target Target) string {
	t.Helper()
	_, err := f.fetch(context.Background(), target, "", nil)
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestHostileServers(t *testing.T) {
	good := keySet(t, "a")
	many := make([]string, 10000)
	for i := range many {
		many[i] = fmt.Sprintf(`{"kid":"%d"}`, i)
	}
	var plainURL string
	body := func(s string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(s)) }
	}
	tests := []struct {
		name    string
		handler http.HandlerFunc
		want    string // after the address and ": "
	}{
		{"endless body", func(w http.ResponseWriter, rq *http.Request) {
			for rq.Context().Err() == nil {
				if _, err := w.Write(bytes.Repeat([]byte(" "), 4096)); err != nil {
					return
				}
			}
		}, "the answer is bigger than 1048576 bytes"},
		{"slow bytes", func(w http.ResponseWriter, rq *http.Request) {
			tick := time.NewTicker(50 * time.Millisecond)
			defer tick.Stop()
			for {
				select {
				case <-rq.Context().Done():
					return
				case <-tick.C:
					_, _ = w.Write([]byte("{"))
					w.(http.Flusher).Flush()
				}
			}
		}, "the answer cannot be read: no whole answer in time"},
		{"silence", func(_ http.ResponseWriter, rq *http.Request) { <-rq.Context().Done() }, "no whole answer in time"},
		{"redirect loop", func(w http.ResponseWriter, rq *http.Request) {
			http.Redirect(w, rq, "/", http.StatusFound)
		}, "more than 3 redirects"},
		{"redirect to http", func(w http.ResponseWriter, rq *http.Request) {
			http.Redirect(w, rq, plainURL, http.StatusFound)
		}, "https leads to http"},
		{"redirect to a file", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "file:///etc/passwd")
			w.WriteHeader(http.StatusFound)
		}, `scheme "file" is neither http nor https`},
		{"HTML", body("<!doctype html><p>Please log in"), "the answer is HTML or XML, not a key set"},
		{"length too big", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100000")
			_, _ = w.Write(good)
		}, "the answer cannot be read: unexpected EOF"},
		{"10,000 keys", body(`{"keys":[` + strings.Join(many, ",") + `]}`), "the key set has 10000 keys, more than 256"},
		{"bomb", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			_, _ = z.Write(bytes.Repeat([]byte(" "), 64<<20))
			_ = z.Close()
		}, "the answer is bigger than 1048576 bytes"},
		{"error status", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", 500) }, "answers 500, not 200"},
		{"304 unasked", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(304) }, "answers 304, not 200"},
		{"empty", body(""), "the answer is empty, not a key set"},
		{"no JSON", body("hello"), "the answer is not a JSON object"},
		{"null", body("null"), "the answer is not a JSON object"},
		{"cut JSON", body(string(good[:len(good)-2])), "the answer is not a JSON object"},
		{"keys is no list", body(`{"keys":{}}`), `"keys" is not a list`},
		{"keys is null", body(`{"keys":null}`), `"keys" is not a list`},
		{"only symmetric", body(`{"keys":[{"kty":"oct","k":"c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3I"}]}`), "not a key set: "},
		{"no keys", body(`{"keys":[]}`), "not a key set: "},
		{"another case", body(`{"KEYS":[]}`), "not a key set: "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			plain := httptest.NewServer(body(string(good)))
			defer plain.Close()
			plainURL = plain.URL
			s := httptest.NewTLSServer(tt.handler)
			defer s.Close()
			f := newTestFetcher(t, s)
			if strings.HasPrefix(tt.name, "slow") || tt.name == "silence" {
				f.timeout = 200 * time.Millisecond
			}
			got := fetchErr(t, f, Target{URI: s.URL + "/keys"})
			if !strings.HasPrefix(got, s.URL+"/keys: "+tt.want) {
				t.Fatalf("error %q, want %q", got, tt.want)
			}
			if strings.Contains(got, "c2VjcmV0") {
				t.Fatal("the error quotes a secret")
			}
		})
	}
}

func TestBadTLS(t *testing.T) {
	s := httptest.NewTLSServer(http.NotFoundHandler())
	defer s.Close()
	t.Run("unknown authority", func(t *testing.T) {
		got := fetchErr(t, newTestFetcher(t), Target{URI: s.URL})
		if !strings.Contains(got, "x509: certificate signed by unknown authority") {
			t.Fatalf("error %q", got)
		}
	})
	t.Run("expired", func(t *testing.T) {
		f := newTestFetcher(t, s)
		f.client.Transport.(*http.Transport).TLSClientConfig.Time = func() time.Time {
			return s.Certificate().NotAfter.Add(time.Hour)
		}
		got := fetchErr(t, f, Target{URI: s.URL})
		if !strings.Contains(got, "x509: certificate has expired or is not yet valid") {
			t.Fatalf("error %q", got)
		}
	})
	t.Run("another name", func(t *testing.T) {
		u := strings.Replace(s.URL, "127.0.0.1", "localhost", 1)
		got := fetchErr(t, newTestFetcher(t, s), Target{URI: u})
		if !strings.Contains(got, "x509: certificate is valid for example.com") {
			t.Fatalf("error %q", got)
		}
	})
}

func TestAddresses(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := "http://user:hunter2@" + l.Addr().String() + "/keys"
	_ = l.Close()
	for _, tt := range []struct{ uri, want string }{
		{"", `scheme "" is neither http nor https`},
		{"testing@secure.istio.io", `scheme "" is neither http nor https`},
		{"ftp://x/y", `scheme "ftp" is neither http nor https`},
		{"http:///x", "address has no host"},
		{"http://a b/", "not a URL"},
		{nobody, "connection refused"},
	} {
		got := fetchErr(t, newTestFetcher(t), Target{URI: tt.uri})
		if !strings.Contains(got, tt.want) {
			t.Errorf("%q: error %q, want %q", tt.uri, got, tt.want)
		}
		if strings.Contains(got, "hunter2") {
			t.Errorf("%q: the error holds the password: %q", tt.uri, got)
		}
	}
}

func TestContent(t *testing.T) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	leaked, err := jose.JSONWebKey{Key: private, KeyID: "leaked", Algorithm: "ES256"}.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	body := fmt.Sprintf(`{"keys":[1,{"kty":"oct","kid":"s","k":"c2VjcmV0"},{"kty":"EC","kid":"bad\n"},%s],"extra":true}`, leaked)
	s, err := parse("uri", []byte(body), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if s.Keys.Len() != 1 || !s.Keys.Has("leaked") || !s.could("leaked") || s.could("other") || !s.could("") {
		t.Fatalf("keys %v", s.Keys.Keys())
	}
	for _, secret := range []string{"c2VjcmV0", `"d"`, "extra"} {
		if bytes.Contains(s.JSON, []byte(secret)) {
			t.Errorf("what is spread holds %s: %s", secret, s.JSON)
		}
	}
	want := []string{
		"key 0 is not used: not an object",
		"key 1 is not used: symmetric keys may not come from the network",
		"key 3 is published with its private half: whoever read it can sign",
		`key 2 "bad\n" is not used: `,
	}
	if len(s.warnings) != len(want) {
		t.Fatalf("warnings %q", s.warnings)
	}
	for i := range want {
		if !strings.HasPrefix(s.warnings[i], want[i]) {
			t.Errorf("warning %q, want %q", s.warnings[i], want[i])
		}
	}
	// What is spread reads as the same set.
	again, err := parse("uri", s.JSON, time.Now())
	if err != nil || again.ETag != s.ETag || !bytes.Equal(again.JSON, s.JSON) {
		t.Fatalf("not stable: %v", err)
	}
}

func FuzzContent(f *testing.F) {
	f.Add(keySet(f, "a", "b"))
	f.Add([]byte(`{"keys":[{"kty":"oct","k":"AA"}]}`))
	f.Add([]byte(`{"a":"-----BEGIN CERTIFICATE-----"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		s, err := parse("uri", body, time.Time{})
		if err != nil {
			if len(err.Error()) > 1000 || strings.ContainsAny(err.Error(), "\n\r\x00") {
				t.Fatalf("error is not fit for a log: %q", err)
			}
			return
		}
		if s.Keys.Len() == 0 || s.Keys.HasSecret() {
			t.Fatal("a set without usable keys, or with a secret")
		}
		again, err := parse("uri", s.JSON, time.Time{})
		if err != nil || !bytes.Equal(again.JSON, s.JSON) {
			t.Fatalf("what is spread reads otherwise: %v", err)
		}
	})
}

func TestDiscovery(t *testing.T) {
	good := keySet(t, "a")
	plain := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(good) }))
	defer plain.Close()
	var doc string
	mux := http.NewServeMux()
	mux.HandleFunc("/realm/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(doc)) })
	mux.HandleFunc("/keys", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(good) })
	s := httptest.NewTLSServer(mux)
	defer s.Close()
	iss, keys := s.URL+"/realm", s.URL+"/keys"
	at := iss + "/.well-known/openid-configuration: "
	for _, tt := range []struct{ name, uri, doc, want string }{
		{"good", iss, fmt.Sprintf(`{"issuer":%q,"jwks_uri":%q}`, iss, keys), ""},
		{"slash", iss + "/", fmt.Sprintf(`{"issuer":%q,"jwks_uri":%q}`, iss+"/", keys), ""},
		{"another issuer", iss, fmt.Sprintf(`{"issuer":%q,"jwks_uri":%q}`, s.URL+"/other", keys),
			at + fmt.Sprintf("is of issuer %q, not %q", s.URL+"/other", iss)},
		{"a slash more", iss, fmt.Sprintf(`{"issuer":%q,"jwks_uri":%q}`, iss+"/", keys),
			at + fmt.Sprintf("is of issuer %q, not %q", iss+"/", iss)},
		{"no issuer", iss, fmt.Sprintf(`{"jwks_uri":%q}`, keys), at + "issuer or jwks_uri is missing or not a string"},
		{"issuer in another case", iss, fmt.Sprintf(`{"Issuer":%q,"jwks_uri":%q}`, iss, keys), at + "issuer or jwks_uri is missing or not a string"},
		{"keys by http", iss, fmt.Sprintf(`{"issuer":%q,"jwks_uri":%q}`, iss, plain.URL), at + "jwks_uri: https leads to http"},
		{"keys in a file", iss, fmt.Sprintf(`{"issuer":%q,"jwks_uri":"file:///etc/passwd"}`, iss), at + `jwks_uri: scheme "file" is neither http nor https`},
		{"HTML", iss, "<html>", at + "the answer is not a JSON object"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			doc = tt.doc
			if got := fetchErr(t, newTestFetcher(t, s), Target{URI: tt.uri, Discovery: true}); got != tt.want {
				t.Fatalf("error %q, want %q", got, tt.want)
			}
		})
	}
}
