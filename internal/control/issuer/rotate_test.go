package issuer

import (
	"encoding/json"
	"errors"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// kidOf reads a token's kid.
func kidOf(t *testing.T, token string) string {
	t.Helper()
	jws, err := jose.ParseSignedCompact(token, asymmetric)
	if err != nil {
		t.Fatal(err)
	}
	return jws.Signatures[0].Protected.KeyID
}

// good tells whether the token verifies by what is published.
func good(t *testing.T, i *Issuer, name, token string) bool {
	t.Helper()
	jws, err := jose.ParseSignedCompact(token, asymmetric)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range keysOf(t, i, name).Key(jws.Signatures[0].Protected.KeyID) {
		if _, err := jws.Verify(k.Key); err == nil {
			return true
		}
	}
	return false
}

func mintT(t *testing.T, i *Issuer, r MintRequest) string {
	t.Helper()
	token, err := i.Mint(r)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// The old key stays as long as the longest token that it signed, whatever said how
// long that is, and its private half goes at once.
func TestRotate(t *testing.T) {
	i := openT(t)
	now := time.Unix(1_800_000_000, 0)
	i.now = func() time.Time { return now }
	start := now
	exp := start.Add(90 * time.Minute)
	for name, longest := range map[string]MintRequest{
		"ttl":     {TTL: 90 * time.Minute},
		"default": {},
		"claim":   {Claims: map[string]any{"exp": exp.Unix()}},
		"number":  {Claims: map[string]any{"exp": json.Number("1800005400.5")}},
	} {
		t.Run(name, func(t *testing.T) {
			now = start
			until := exp
			if name == "default" {
				until = start.Add(DefaultTTL)
			}
			longest.Issuer, longest.Alg = name, "ES256"
			old := mintT(t, i, longest)
			mintT(t, i, MintRequest{Issuer: name, Alg: "ES256", TTL: time.Second})
			mintT(t, i, MintRequest{Issuer: name, Alg: "ES256", TTL: -time.Hour})
			got, err := i.Rotate(name, "")
			if err != nil {
				t.Fatal(err)
			}
			if len(got) != 1 || got[0].Alg != "ES256" || got[0].Old != kidOf(t, old) {
				t.Fatalf("rotated %+v", got)
			}
			if d := got[0].Until.Sub(until); d < skew || d > skew+time.Minute {
				t.Errorf("the old key goes %v after the longest token", d)
			}
			b, err := os.ReadFile(i.file(name))
			if err != nil || strings.Count(string(b), `"d":`) != 1 {
				t.Errorf("%v: private halves in the file: %d, want the new key's alone", err, strings.Count(string(b), `"d":`))
			}
			fresh := mintT(t, i, MintRequest{Issuer: name, Alg: "ES256", TTL: 48 * time.Hour})
			if kidOf(t, fresh) != got[0].New || got[0].New == got[0].Old {
				t.Error("the new token is not of the new key")
			}
			now = until.Add(skew - time.Second)
			if !good(t, i, name, old) || !good(t, i, name, fresh) {
				t.Error("a token that lives does not verify")
			}
			now = got[0].Until
			if n := len(keysOf(t, i, name).Keys); n != 1 || good(t, i, name, old) || !good(t, i, name, fresh) {
				t.Errorf("after the old tokens' end there are %d keys", n)
			}
		})
	}
}

// What another process noted meanwhile is not forgotten.
func TestNote(t *testing.T) {
	var f keyFile
	for _, c := range []struct{ expires, want int64 }{{0, 0}, {61, 120}, {30, 120}, {120, 120}, {121, 180}} {
		if f.note("k", c.expires); f.Expiry["k"] != c.want {
			t.Errorf("after %d: %d, want %d", c.expires, f.Expiry["k"], c.want)
		}
	}
}

func TestRotateEveryAlgorithm(t *testing.T) {
	i := openT(t)
	var tokens []string
	for _, alg := range []string{"ES256", "ES384", "EdDSA"} {
		tokens = append(tokens, mintT(t, i, MintRequest{Issuer: "a", Alg: alg}))
	}
	if got, err := i.Rotate("a", "EdDSA"); err != nil || len(got) != 1 || got[0].Alg != "EdDSA" {
		t.Fatalf("one: %+v, %v", got, err)
	}
	if got, err := i.Rotate("a", ""); err != nil || len(got) != 3 {
		t.Fatalf("all: %+v, %v", got, err)
	}
	for _, tok := range tokens {
		if !good(t, i, "a", tok) {
			t.Error("a token that lives does not verify")
		}
	}
	// Three new, three old; EdDSA's second key signed nothing and is gone.
	if n := len(keysOf(t, i, "a").Keys); n != 6 {
		t.Errorf("%d keys", n)
	}
}

func TestRotateRefuses(t *testing.T) {
	i := openT(t)
	mintT(t, i, MintRequest{Issuer: "a", Alg: "EdDSA"})
	for _, tt := range []struct{ issuer, alg, want string }{
		{"", "", "not an issuer name: it has 0 bytes of UTF-8, not 1 to 128"},
		{"b", "", `issuer "b" has no keys: its first token makes them`},
		{"a", "ES256", `issuer "a" has no key for ES256`},
	} {
		if _, err := i.Rotate(tt.issuer, tt.alg); err == nil || err.Error() != tt.want || !errors.Is(err, ErrRequest) {
			t.Errorf("error %v, want %q", err, tt.want)
		}
	}
	if _, err := os.Stat(i.file("b")); !os.IsNotExist(err) {
		t.Errorf("a refused request left a file: %v", err)
	}
	for range maxRetired {
		if _, err := i.Rotate("a", ""); err != nil {
			t.Fatal(err)
		}
		mintT(t, i, MintRequest{Issuer: "a", Alg: "EdDSA"})
	}
	if _, err := i.Rotate("a", ""); err == nil || err.Error() != `issuer "a" has 33 old keys whose tokens have not expired, and may have 32` {
		t.Errorf("too many: %v", err)
	}
}

// Whatever rotates while tokens are made, each token's key is published.
func TestRotateWhileMinting(t *testing.T) {
	i := openT(t)
	mintT(t, i, MintRequest{Issuer: "a", Alg: "EdDSA"})
	other, err := Open(i.dir, nil) // as another process: no lock in common but the file's
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	tokens := make([]string, 100)
	wg.Go(func() {
		for n := range tokens {
			// A minute more each time, so that each is a write.
			var err error
			if tokens[n], err = i.Mint(MintRequest{Issuer: "a", Alg: "EdDSA", TTL: time.Duration(n+1) * time.Minute}); err != nil {
				t.Error(err)
				return
			}
		}
	})
	wg.Go(func() {
		for range 10 {
			if _, err := other.Rotate("a", ""); err != nil {
				t.Error(err)
			}
		}
	})
	wg.Wait()
	for n, tok := range tokens {
		if !good(t, i, "a", tok) {
			t.Errorf("token %d does not verify", n)
		}
	}
}
