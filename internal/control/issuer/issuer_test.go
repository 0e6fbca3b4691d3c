package issuer

import (
	"context"
	"crypto"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"go.uber.org/goleak"

	ours "github.com/usher-mesh/usher/internal/jose"
)

// TestMain lets the test's own binary be another process on the same folder.
func TestMain(m *testing.M) {
	if dir := os.Getenv("ISSUER_TEST_DIR"); dir != "" {
		os.Exit(mintAlone(dir))
	}
	goleak.VerifyTestMain(m)
}

func mintAlone(dir string) int {
	i, err := Open(dir, nil)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	for _, alg := range []string{"ES256", "EdDSA", "ES384"} {
		tok, err := i.Mint(MintRequest{Issuer: "shared", Alg: alg})
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		fmt.Println(tok)
	}
	return 0
}

func openT(t *testing.T) *Issuer {
	t.Helper()
	i, err := Open(filepath.Join(t.TempDir(), "issuer"), nil)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func get(t *testing.T, i *Issuer, path string, header ...string) *http.Response {
	t.Helper()
	rq := httptest.NewRequestWithContext(context.Background(), http.MethodGet, "http://x"+path, nil)
	for n := 0; n+1 < len(header); n += 2 {
		rq.Header.Set(header[n], header[n+1])
	}
	w := httptest.NewRecorder()
	i.Handler().ServeHTTP(w, rq)
	return w.Result()
}

func keysOf(t *testing.T, i *Issuer, name string) *jose.JSONWebKeySet {
	t.Helper()
	rsp := get(t, i, path(name, "jwks"))
	if rsp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s", path(name, "jwks"), rsp.Status)
	}
	var s jose.JSONWebKeySet
	if err := json.NewDecoder(rsp.Body).Decode(&s); err != nil {
		t.Fatal(err)
	}
	for _, k := range s.Keys {
		if !k.IsPublic() {
			t.Fatalf("key %s is published with its private half", k.KeyID)
		}
	}
	return &s
}

func TestMintEveryAlgorithm(t *testing.T) {
	i := openT(t)
	now := time.Unix(1700000000, 0)
	secret := []byte(strings.Repeat("s", 64))
	algs := []string{"HS256", "HS384", "HS512"}
	for _, a := range asymmetric {
		algs = append(algs, string(a))
	}
	for _, alg := range algs {
		t.Run(alg, func(t *testing.T) {
			r := MintRequest{
				Issuer: "alice", Subject: "bob", Audience: []string{"a", "b"}, Alg: alg, Now: now, TTL: time.Minute,
				Claims: map[string]any{"groups": []string{"g1", "g2"}, "n": 1.5, "jti": "fixed"},
			}
			var key any = secret
			if strings.HasPrefix(alg, "HS") {
				r.Secret = secret
			}
			tok, err := i.Mint(r)
			if err != nil {
				t.Fatal(err)
			}
			jws, err := jose.ParseSignedCompact(tok, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(alg)})
			if err != nil {
				t.Fatal(err)
			}
			h := jws.Signatures[0].Protected
			if typ := h.ExtraHeaders[jose.HeaderType]; typ != "JWT" {
				t.Errorf("typ %v", typ)
			}
			if r.Secret == nil {
				found := keysOf(t, i, "alice").Key(h.KeyID)
				if len(found) != 1 || found[0].Algorithm != alg {
					t.Fatalf("kid %q: keys %v", h.KeyID, found)
				}
				sum, err := found[0].Thumbprint(crypto.SHA256)
				if err != nil || base64.RawURLEncoding.EncodeToString(sum) != h.KeyID {
					t.Errorf("kid %q is not the thumbprint", h.KeyID)
				}
				key = found[0].Key
			} else if h.KeyID != "" {
				t.Errorf("kid %q", h.KeyID)
			}
			payload, err := jws.Verify(key)
			if err != nil {
				t.Fatal(err)
			}
			var got map[string]any
			if err := json.Unmarshal(payload, &got); err != nil {
				t.Fatal(err)
			}
			want := map[string]any{
				"iss": "alice", "sub": "bob", "aud": []any{"a", "b"}, "iat": 1.7e9, "exp": 1.7e9 + 60,
				"groups": []any{"g1", "g2"}, "n": 1.5, "jti": "fixed",
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("claims %v, want %v", got, want)
			}
		})
	}
	if n := len(keysOf(t, i, "alice").Keys); n != len(asymmetric) {
		t.Errorf("%d keys, want one an algorithm", n)
	}
	// The proxy reads the whole set without a warning.
	b, err := json.Marshal(keysOf(t, i, "alice"))
	if err != nil {
		t.Fatal(err)
	}
	if ks, err := ours.ParseKeySet(b); err != nil || ks.Len() != len(asymmetric) || len(ks.Skipped()) > 0 {
		t.Errorf("%v: %d keys, skipped %v", err, ks.Len(), ks.Skipped())
	}
}

func TestMintDefaults(t *testing.T) {
	i := openT(t)
	tok, err := i.Mint(MintRequest{Issuer: "alice", Audience: []string{"one"}})
	if err != nil {
		t.Fatal(err)
	}
	jws, err := jose.ParseSignedCompact(tok, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		t.Fatal(err)
	}
	var c struct {
		Aud      string
		Iat, Exp int64
		Sub, Jti *string
	}
	if err := json.Unmarshal(jws.UnsafePayloadWithoutVerification(), &c); err != nil {
		t.Fatal(err)
	}
	if c.Aud != "one" || c.Exp-c.Iat != 3600 || c.Sub != nil || c.Jti == nil || time.Since(time.Unix(c.Iat, 0)) > time.Minute {
		t.Errorf("claims %+v", c)
	}
	if fi, err := os.Stat(i.file("alice")); err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("key file: %v, %v", fi, err)
	}
}

func TestMintRefuses(t *testing.T) {
	i := openT(t)
	short := []byte("0123456789012345678901234567890")
	for _, tt := range []struct {
		r    MintRequest
		want string
	}{
		{MintRequest{}, "not an issuer name: it has 0 bytes of UTF-8, not 1 to 128"},
		{MintRequest{Issuer: strings.Repeat("x", 129)}, "not an issuer name: it has 129 bytes of UTF-8, not 1 to 128"},
		{MintRequest{Issuer: "a\nb"}, `not an issuer name: "a\nb" has characters that do not print`},
		{MintRequest{Issuer: "a", Alg: "none"}, `unknown algorithm "none": one of [RS256 RS384 RS512 PS256 PS384 PS512 ES256 ES384 ES512 EdDSA], HS256, HS384, HS512`},
		{MintRequest{Issuer: "a", Alg: "HS256"}, "HS256 needs a secret of at least 32 bytes, not 0"},
		{MintRequest{Issuer: "a", Alg: "HS256", Secret: short}, "HS256 needs a secret of at least 32 bytes, not 31"},
		{MintRequest{Issuer: "a", Secret: short}, "a secret is for HS256, HS384 and HS512, not for RS256"},
		{MintRequest{Issuer: "a", Claims: map[string]any{"iss": "b"}}, `claim "iss" is given twice`},
		{MintRequest{Issuer: "a", Subject: "s", Claims: map[string]any{"sub": "b"}}, `claim "sub" is given twice`},
		{MintRequest{Issuer: "a", Claims: map[string]any{"f": func() {}}}, "claims: json: unsupported type: func()"},
	} {
		if _, err := i.Mint(tt.r); err == nil || err.Error() != tt.want {
			t.Errorf("error %v, want %q", err, tt.want)
		}
	}
	if files, _ := filepath.Glob(filepath.Join(i.dir, "*.json")); len(files) > 0 {
		t.Errorf("refused requests left keys: %v", files)
	}
}

func TestSampleKey(t *testing.T) {
	i := openT(t)
	const kid = SampleKID
	if s := keysOf(t, i, SampleIssuer); len(s.Keys) != 2 || len(s.Key(kid)) != 1 {
		t.Errorf("%d keys, sample %v", len(s.Keys), s.Key(kid))
	}
	if s := keysOf(t, i, "someone"); len(s.Keys) != 1 || len(s.Key(kid)) != 0 {
		t.Error("another issuer has the sample key")
	}
}

func TestHandler(t *testing.T) {
	i := openT(t)
	for path, want := range map[string]int{
		"/": 404, "/i/": 404, "/i/a": 404, "/i/a/": 404, "/i/a/keys": 404, "/i//jwks": 404, "/i/a/b/jwks": 404,
		"/i/%0a/jwks": 404, "/i/..%2f..%2fetc%2fpasswd/jwks": 200, "/i/testing@secure.istio.io/jwks": 200,
		"/i/" + strings.Repeat("x", 129) + "/jwks": 404, "/i/a/.well-known/openid-configuration": 200,
		"/i/" + url.PathEscape("https://x/y") + "/jwks": 200,
	} {
		if rsp := get(t, i, path); rsp.StatusCode != want {
			t.Errorf("%s: %s, want %d", path, rsp.Status, want)
		}
	}
	if out, _ := filepath.Glob(filepath.Join(i.dir, "..", "*")); len(out) != 1 {
		t.Errorf("files outside the folder: %v", out)
	}
	rsp := get(t, i, "/i/a/jwks")
	if ct := rsp.Header.Get("Content-Type"); ct != "application/json" {
		t.Errorf("Content-Type %q", ct)
	}
	if again := get(t, i, "/i/a/jwks", "If-None-Match", rsp.Header.Get("Etag")); again.StatusCode != 304 {
		t.Errorf("with its ETag: %s", again.Status)
	}
	w := httptest.NewRecorder()
	i.Handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/i/a/jwks", nil))
	if w.Code != 405 {
		t.Errorf("POST: %d", w.Code)
	}
}

// The issuer that a discovery document names signs with the keys it points to.
func TestDiscovery(t *testing.T) {
	i := openT(t)
	var doc struct {
		Issuer string `json:"issuer"`
		Keys   string `json:"jwks_uri"`
	}
	name := "alice@example.com/x"
	if err := json.NewDecoder(get(t, i, path(name, ".well-known/openid-configuration")).Body).Decode(&doc); err != nil {
		t.Fatal(err)
	}
	if doc.Issuer != BaseURL+"/i/alice@example.com%2Fx" || doc.Keys != doc.Issuer+"/jwks" {
		t.Fatalf("document %+v", doc)
	}
	tok, err := i.Mint(MintRequest{Issuer: doc.Issuer})
	if err != nil {
		t.Fatal(err)
	}
	jws, err := jose.ParseSignedCompact(tok, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		t.Fatal(err)
	}
	if len(keysOf(t, i, name).Key(jws.Signatures[0].Protected.KeyID)) != 1 {
		t.Error("the token's key is not in the set")
	}
}

func TestStrangersMakeFewNames(t *testing.T) {
	i := openT(t)
	for n := range maxNamesByGet {
		if err := os.WriteFile(i.file(fmt.Sprint("n", n)), []byte("{}"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if rsp := get(t, i, "/i/onemore/jwks"); rsp.StatusCode != 404 {
		t.Errorf("name %d: %s", maxNamesByGet+1, rsp.Status)
	}
	if _, err := i.Mint(MintRequest{Issuer: "onemore", Alg: "EdDSA"}); err != nil {
		t.Error(err)
	}
	if rsp := get(t, i, "/i/onemore/jwks"); rsp.StatusCode != 200 {
		t.Errorf("a minted name: %s", rsp.Status)
	}
	for n := range maxNamesByMint {
		if err := os.WriteFile(i.file(fmt.Sprint("n", n)), []byte("{}"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := i.Mint(MintRequest{Issuer: "another", Alg: "EdDSA"}); !errors.Is(err, errFull) {
		t.Errorf("error %v", err)
	}
}

// Several processes and goroutines on one folder agree on the keys.
func TestConcurrentProcesses(t *testing.T) {
	i := openT(t)
	var wg sync.WaitGroup
	var mu sync.Mutex
	var minted []string
	for range 3 {
		wg.Go(func() {
			cmd := exec.CommandContext(t.Context(), os.Args[0])
			cmd.Env = append(os.Environ(), "ISSUER_TEST_DIR="+i.dir)
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Errorf("%v: %s", err, out)
			}
			mu.Lock()
			minted = append(minted, strings.Fields(string(out))...)
			mu.Unlock()
		})
	}
	wg.Go(func() { keysOf(t, i, "shared") })
	wg.Wait()
	s := keysOf(t, i, "shared")
	seen := map[string]bool{}
	for _, k := range s.Keys {
		if seen[k.Algorithm] {
			t.Errorf("two keys for %s", k.Algorithm)
		}
		seen[k.Algorithm] = true
	}
	if len(minted) != 9 {
		t.Fatalf("%d tokens", len(minted))
	}
	for _, tok := range minted {
		jws, err := jose.ParseSignedCompact(tok, asymmetric)
		if err != nil {
			t.Fatal(err)
		}
		if len(s.Key(jws.Signatures[0].Protected.KeyID)) != 1 {
			t.Errorf("a minted token's key is not published")
		}
	}
}

func TestDamagedFile(t *testing.T) {
	i := openT(t)
	if _, err := i.Mint(MintRequest{Issuer: "a", Alg: "EdDSA"}); err != nil {
		t.Fatal(err)
	}
	good, err := os.ReadFile(i.file("a"))
	if err != nil {
		t.Fatal(err)
	}
	for want, content := range map[string]string{
		"not a file of issuer keys": string(good[:len(good)/2]),
		`of issuer "b"`:             strings.Replace(string(good), `"name":"a"`, `"name":"b"`, 1),
		"a key is damaged":          strings.Replace(string(good), `"alg":"EdDSA"`, `"alg":""`, 1),
	} {
		if err := os.WriteFile(i.file("a"), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := i.Mint(MintRequest{Issuer: "a", Alg: "EdDSA"})
		if err == nil || err.Error() != i.file("a")+": "+want {
			t.Errorf("error %v, want %q", err, want)
		}
		if rsp := get(t, i, "/i/a/jwks"); rsp.StatusCode != 500 {
			t.Errorf("%s: %s", want, rsp.Status)
		}
	}
}
