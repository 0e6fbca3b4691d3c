package jose

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

// What a log line and `usher token verify` can say of a refusal.
func TestDetails(t *testing.T) {
	s := testSigners()
	rs, es := mustKey(t, "one", "", &s.rsa.PublicKey), mustKey(t, "two", "ES256", &s.ec["P-256"].PublicKey)
	keys := NewKeySet(rs, es)
	var many []*Key
	for i := range 20 {
		many = append(many, mustKey(t, fmt.Sprint("k", i), "", s.ed.Public()))
	}
	now := time.Unix(1_000_000, 0)
	verify := func(keys *KeySet, token string) error {
		tok, err := Parse(token, 0)
		if err != nil {
			return err
		}
		if err := tok.CheckTimes(now, DefaultSkew); err != nil {
			return err
		}
		if err := NewAudiences([]string{"https://b/", "a"}).Check(tok); err != nil {
			return err
		}
		_, err = keys.Verify(tok)
		return err
	}
	token := func(alg Algorithm, header, claims string) string { return s.token(t, alg, header, claims) }
	const forA = `{"aud":"a"}`
	cut := token("RS256", `{"alg":"RS256","kid":"one"}`, forA)
	for _, c := range []struct {
		name string
		err  error
		want string
	}{
		{"too long", verify(keys, strings.Repeat("a", MaxTokenSize+1)), "it has 16385 bytes, more than 16384"},
		{"JWE", verify(keys, "a.b.c.d.e"), "an encrypted token (JWE)"},
		{"JSON form", verify(keys, `{"payload":"e30","signatures":[]}`), "it is JSON, not the compact form"},
		{"detached", verify(keys, b64(goodHeader)+"..c2ln"), "a detached one"},
		{"alg", verify(keys, token("HS256", `{"alg":"none\n"}`, forA)), `alg is "none\n"`},
		{"crit", verify(keys, token("HS256", `{"alg":"HS256","crit":["b64",5]}`, forA)), `crit asks for "b64", ""`},
		{"b64", verify(keys, token("HS256", `{"alg":"HS256","b64":false}`, forA)), "unencoded payload (RFC 7797)"},
		{"exp", verify(keys, token("RS256", `{"alg":"RS256"}`, `{"exp":996400}`)), "exp was 1h0m0s ago; clocks may differ by 1m0s"},
		{"nbf", verify(keys, token("RS256", `{"alg":"RS256"}`, `{"nbf":1000061}`)), "nbf is 1m1s away; clocks may differ by 1m0s"},
		{"exp of 1970", verify(keys, token("RS256", `{"alg":"RS256"}`, `{"exp":0}`)), "exp was 277h46m40s ago"},
		{"nbf far away", verify(keys, token("RS256", `{"alg":"RS256"}`, `{"nbf":1e19}`)), "nbf is 9999999999999000000s away"},
		{"no aud", verify(keys, token("RS256", `{"alg":"RS256"}`, `{}`)), `aud is nothing; allowed is "a", "b"`},
		{"aud", verify(keys, token("RS256", `{"alg":"RS256"}`, `{"aud":["x","y\u001b"]}`)), `aud is "x", "y\x1b"; allowed is "a", "b"`},
		{"many aud", verify(keys, token("RS256", `{"alg":"RS256"}`, `{"aud":["1","2","3","4","5","6","7","8","9","10"]}`)), `"7", "8" and 2 more; allowed`},
		{"long aud", verify(keys, token("RS256", `{"alg":"RS256"}`, `{"aud":"`+strings.Repeat("x", 5000)+`"}`)), `aud is "` + strings.Repeat("x", 128) + `"...; allowed`},
		{"kid", verify(keys, token("RS256", `{"alg":"RS256","kid":"three"}`, forA)), `it wants the key "three" for RS256; there are 2 keys: RSA-2048 "one", P-256 "two"`},
		{"kid among many", verify(NewKeySet(many...), token("RS256", `{"alg":"RS256","kid":"x"}`, forA)), `there are 20 keys: Ed25519 "k0", Ed25519 "k1", Ed25519 "k2", Ed25519 "k3", Ed25519 "k4", Ed25519 "k5", Ed25519 "k6", Ed25519 "k7" and 12 more`},
		{"alg of the key", verify(keys, token("ES384", `{"alg":"ES384","kid":"two"}`, forA)), `it wants the key "two" for ES384`},
		{"type of the key", verify(keys, token("ES256", `{"alg":"ES256","kid":"one"}`, forA)), `RSA-2048 "one" cannot verify ES256`},
		{"short secret", verify(NewKeySet(mustKey(t, "s", "", secret("s")[:32])), token("HS512", `{"alg":"HS512","kid":"s"}`, forA)), `oct-256 "s" cannot verify HS512`},
		{"signature", verify(keys, cut[:len(cut)-4]+"AAAA"), `it is no RS256 signature by RSA-2048 "one"`},
		{"no keys", verify(NewKeySet(), cut), "Jwks doesn't have any valid public key"},
	} {
		if c.err == nil || !strings.Contains(c.err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", c.name, c.err, c.want)
			continue
		}
		var e *Error
		if !errors.As(c.err, &e) || e.Public() != e.Kind.String() || strings.Contains(e.Public(), c.want) && e.Detail != "" {
			t.Errorf("%s: public text %q", c.name, e.Public())
		}
		if len(e.Detail) > 8<<10 {
			t.Errorf("%s: a detail of %d bytes", c.name, len(e.Detail))
		}
	}
}
