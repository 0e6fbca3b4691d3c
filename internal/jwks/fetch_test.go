package jwks

import (
	"bytes"
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

	"github.com/usher-mesh/usher/test/keyserver"
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
func newTestFetcher(t *testing.T, roots *x509.CertPool) *fetcher {
	t.Helper()
	tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, DisableKeepAlives: true, MaxResponseHeaderBytes: 64 << 10}
	t.Cleanup(tr.CloseIdleConnections)
	return newFetcher(tr, false, time.Now)
}

// fetchErr gives a fetch's error and its class, "" for none.
func fetchErr(t *testing.T, f *fetcher, target Target) (string, Reason) {
	t.Helper()
	_, err := f.fetch(context.Background(), target, "", nil)
	if err == nil {
		return "", ""
	}
	return err.Error(), reasonOf(err)
}

func TestHostileServers(t *testing.T) {
	ca := keyserver.NewCA(t)
	good := keySet(t, "a")
	plain := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(good) }))
	t.Cleanup(plain.Close)
	for _, h := range keyserver.HostileServers(good, plain.URL) {
		t.Run(h.Name, func(t *testing.T) {
			t.Parallel()
			s := ca.Start(h)
			target := Target{URI: s.URL + "/keys"}
			if h.Reason == string(ReasonTimeout) {
				target.Timeout = 500 * time.Millisecond
			}
			begin := time.Now()
			got, why := fetchErr(t, newTestFetcher(t, ca.Roots()), target)
			if !strings.HasPrefix(got, s.URL+"/keys: ") || !strings.Contains(got, h.Says) || string(why) != h.Reason {
				t.Fatalf("error %q (%s), want %q (%s)", got, why, h.Says, h.Reason)
			}
			if again, _ := fetchErr(t, newTestFetcher(t, ca.Roots()), target); again != got && why != ReasonTimeout {
				t.Errorf("the same fault is said otherwise: %q", again)
			}
			if strings.Contains(got, keyserver.Secret[:8]) {
				t.Fatal("the error quotes a secret")
			}
			t.Logf("%s after %v: %s", why, time.Since(begin).Round(time.Millisecond), got)
		})
	}
}

func TestBadContent(t *testing.T) {
	good := keySet(t, "a")
	for name, tt := range map[string]struct{ body, want string }{
		"no JSON":         {"hello", "the answer is not a JSON object"},
		"null":            {"null", "the answer is not a JSON object"},
		"cut JSON":        {string(good[:len(good)-2]), "the answer is not a JSON object"},
		"keys is no list": {`{"keys":{}}`, `"keys" is not a list`},
		"keys is null":    {`{"keys":null}`, `"keys" is not a list`},
		"another case":    {`{"KEYS":[]}`, "not a key set: "},
		"all unusable": {`{"keys":[{"kty":"EC","kid":"a","crv":"P-256","x":"AQ","y":"AQ"},1]}`,
			"the key set has no usable key: key 1 is not used: not an object"},
	} {
		if _, err := parse("uri", []byte(tt.body), time.Now()); err == nil || !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("%s: error %v, want %q", name, err, tt.want)
		}
	}
}

// Three redirects are followed, a fourth is not.
func TestRedirects(t *testing.T) {
	good := keySet(t, "a")
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, rq *http.Request) {
		if n := len(rq.URL.Path); n > 1 {
			http.Redirect(w, rq, rq.URL.Path[:n-1], http.StatusTemporaryRedirect)
			return
		}
		_, _ = w.Write(good)
	}))
	defer s.Close()
	if got, _ := fetchErr(t, newTestFetcher(t, nil), Target{URI: s.URL + "/123"}); got != "" {
		t.Errorf("three: %s", got)
	}
	if got, why := fetchErr(t, newTestFetcher(t, nil), Target{URI: s.URL + "/1234"}); why != ReasonRedirect {
		t.Errorf("four: %q (%s)", got, why)
	}
}

func TestBadTLS(t *testing.T) {
	ca := keyserver.NewCA(t)
	s := ca.Serve(http.NotFoundHandler(), time.Now().Add(time.Hour))
	for _, tt := range []struct {
		name, uri string
		roots     *x509.CertPool
		want      string
	}{
		{"unknown authority", s.URL, x509.NewCertPool(), "x509: certificate signed by unknown authority"},
		{"another name", strings.Replace(s.URL, "127.0.0.1", "localhost", 1), ca.Roots(), "x509: certificate is not valid for any names"},
	} {
		got, why := fetchErr(t, newTestFetcher(t, tt.roots), Target{URI: tt.uri})
		if !strings.Contains(got, tt.want) || why != ReasonTLS {
			t.Errorf("%s: error %q (%s)", tt.name, got, why)
		}
	}
}

func TestAddresses(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := "http://user:hunter2@" + l.Addr().String() + "/keys?password=hunter3"
	_ = l.Close()
	for _, tt := range []struct {
		uri, want string
		why       Reason
	}{
		{"", `scheme "" is neither http nor https`, ReasonForbidden},
		{"testing@secure.istio.io", `scheme "" is neither http nor https`, ReasonForbidden},
		{"ftp://x/y", `scheme "ftp" is neither http nor https`, ReasonForbidden},
		{"http:///x", "address has no host", ReasonForbidden},
		{"http://a b/", "not a URL", ReasonForbidden},
		{"http://nobody.invalid/keys", "nobody.invalid", ReasonName},
		{nobody, "connection refused", ReasonConnect},
	} {
		got, why := fetchErr(t, newTestFetcher(t, nil), Target{URI: tt.uri})
		if !strings.Contains(got, tt.want) || why != tt.why {
			t.Errorf("%q: error %q (%s), want %q (%s)", tt.uri, got, why, tt.want, tt.why)
		}
		if strings.Contains(got, "hunter") {
			t.Errorf("%q: the error holds a password: %q", tt.uri, got)
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
	ca := keyserver.NewCA(t)
	s := ca.Serve(mux, time.Now().Add(time.Hour))
	iss, keys := s.URL+"/realm", s.URL+"/keys"
	at := iss + "/.well-known/openid-configuration: "
	for _, tt := range []struct{ name, issuer, doc, want string }{
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
			target := Target{URI: iss + "/.well-known/openid-configuration#" + tt.issuer, Issuer: tt.issuer}
			got, why := fetchErr(t, newTestFetcher(t, ca.Roots()), target)
			if got != tt.want || got != "" && why != ReasonDiscovery {
				t.Fatalf("error %q (%s), want %q", got, why, tt.want)
			}
		})
	}
}
