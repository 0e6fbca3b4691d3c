package jose

import (
	"math/big"
	"slices"
	"strings"
	"testing"
)

// mutations are what one slip makes of a token: each position with every other
// character that could stand there, without its character, with it twice, and
// swapped with the next.
func mutations(token string) []string {
	const chars = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.= %+/\n"
	var l []string
	for i := range token {
		for _, c := range []byte(chars) {
			if c != token[i] {
				l = append(l, token[:i]+string(c)+token[i+1:])
			}
		}
		l = append(l, token[:i]+token[i+1:], token[:i]+token[i:i+1]+token[i:])
		if i+1 < len(token) && token[i] != token[i+1] {
			l = append(l, token[:i]+token[i+1:i+2]+token[i:i+1]+token[i+2:])
		}
	}
	return append(l, token+"=", token+"==", token+".", "."+token, token+" ", " "+token)
}

func TestEveryChangeIsRefused(t *testing.T) {
	keys, token := readKeySet(t), readFile(t, "valid.jwt")
	if k := judge(keys, token); k != OK {
		t.Fatalf("the token itself: %v", k)
	}
	kinds := map[Kind]int{}
	l := mutations(token)
	for _, m := range l {
		k := judge(keys, m)
		if k == OK {
			t.Errorf("accepted: %s", m)
		}
		kinds[k]++
	}
	if len(l) < 40000 {
		t.Errorf("%d mutations are too few to mean something", len(l))
	}
	t.Logf("%d mutations: %v", len(l), kinds)
}

func TestEveryChangeOfEveryAlgorithmIsRefused(t *testing.T) {
	s := testSigners()
	for name, a := range algorithms {
		token := s.token(t, name, `{"alg":"`+string(name)+`"}`, `{"iss":"i"}`)
		keys := NewKeySet(mustKey(t, "", "", s.public(a)))
		if k := judge(keys, token); k != OK {
			t.Errorf("%s: %v", name, k)
		}
		for i, m := range mutations(token) {
			if i%23 != 0 { // a sample: P-521 takes its time
				continue
			}
			if k := judge(keys, m); k == OK {
				t.Errorf("%s: accepted %s", name, m)
			}
		}
	}
}

func TestInvalidSample(t *testing.T) {
	keys := readKeySet(t)
	for name, want := range map[string]Kind{"valid": OK, "groups-scope": OK, "invalid": VerificationFailed} {
		if got := judge(keys, readFile(t, name+".jwt")); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

// The last character of valid.jwt carries four padding bits.
func TestPaddingBits(t *testing.T) {
	keys, token := readKeySet(t), readFile(t, "valid.jwt")
	body := token[:len(token)-1]
	for c, want := range map[string]Kind{"g": OK, "h": SignatureBase64, "v": SignatureBase64, "U": VerificationFailed, "w": VerificationFailed, "A": VerificationFailed} {
		if got := judge(keys, body+c); got != want {
			t.Errorf("%s at the end: %q, want %q", c, got, want)
		}
	}
}

func TestKeysAndAlgorithms(t *testing.T) {
	s := testSigners()
	rs := mustKey(t, "k", "", &s.rsa.PublicKey)
	ed := mustKey(t, "", "", s.ed.Public())
	token := func(alg Algorithm, header string) string { return s.token(t, alg, header, `{}`) }
	for _, c := range []struct {
		name  string
		keys  *KeySet
		token string
		want  Kind
	}{
		{"token without kid", NewKeySet(rs), token("RS256", `{"alg":"RS256"}`), OK},
		{"empty kid", NewKeySet(rs), token("RS256", `{"alg":"RS256","kid":""}`), OK},
		{"kid", NewKeySet(rs), token("RS512", `{"alg":"RS512","kid":"k"}`), OK},
		{"other kid", NewKeySet(rs), token("RS256", `{"alg":"RS256","kid":"x"}`), NoMatchingKey},
		{"key without kid", NewKeySet(mustKey(t, "", "", &s.rsa.PublicKey)), token("PS256", `{"alg":"PS256","kid":"x"}`), OK},
		{"key bound to another alg", NewKeySet(mustKey(t, "k", "RS256", &s.rsa.PublicKey)), token("PS256", `{"alg":"PS256","kid":"k"}`), NoMatchingKey},
		{"HMAC with the kid of an RSA key", NewKeySet(rs), token("HS256", `{"alg":"HS256","kid":"k"}`), VerificationFailed},
		{"EC with the kid of an RSA key", NewKeySet(rs), token("ES256", `{"alg":"ES256","kid":"k"}`), VerificationFailed},
		{"EC of another curve", NewKeySet(mustKey(t, "", "", &s.ec["P-384"].PublicKey)), token("ES256", `{"alg":"ES256"}`), VerificationFailed},
		{"Ed25519 key first, RSA token", NewKeySet(ed, rs), token("RS256", `{"alg":"RS256"}`), OK},
		{"short Ed25519 signature", NewKeySet(ed), b64(`{"alg":"EdDSA"}`) + "." + b64(`{}`) + "." + b64("short"), Ed25519Length},
		{"no keys", NewKeySet(), token("RS256", `{"alg":"RS256"}`), NoValidKeys},
		{"second key of the kid", NewKeySet(mustKey(t, "k", "", s.ed.Public()), rs), token("RS256", `{"alg":"RS256","kid":"k"}`), OK},
	} {
		if got := judge(c.keys, c.token); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

// R and S are as long as the curve's order, no zero byte more or less (RFC 7518,
// 3.4), and the other signature that goes with (r, s) verifies as in any library.
func TestECDSASignatures(t *testing.T) {
	s := testSigners()
	for _, name := range []Algorithm{"ES256", "ES384", "ES512"} {
		a := algorithms[name]
		public := &s.ec[a.crv].PublicKey
		k := mustKey(t, "", "", public)
		sig := s.sign(t, a, "input")
		n := len(sig) / 2
		r, v := sig[:n], sig[n:]
		other := new(big.Int).Sub(public.Params().N, new(big.Int).SetBytes(v)).FillBytes(make([]byte, n))
		order := public.Params().N.FillBytes(make([]byte, n))
		zero, pad := make([]byte, n), []byte{0}
		for what, c := range map[string]struct {
			sig  []byte
			want bool
		}{
			"itself": {sig, true}, "(r, n-s)": {slices.Concat(r, other), true},
			"zero before s": {slices.Concat(r, pad, v), false}, "zero before r": {slices.Concat(pad, sig), false},
			"zero after": {slices.Concat(sig, pad), false}, "both longer": {slices.Concat(pad, r, pad, v), false},
			"cut": {sig[:2*n-1], false}, "empty": {nil, false}, "one byte": {pad, false},
			"(0, s)": {slices.Concat(zero, v), false}, "(r, 0)": {slices.Concat(r, zero), false}, "(0, 0)": {slices.Concat(zero, zero), false},
			"(n, s)": {slices.Concat(order, v), false}, "(r, n)": {slices.Concat(r, order), false}, "(s, r)": {slices.Concat(v, r), false},
		} {
			if got := k.Verify(name, "input", c.sig); got != c.want {
				t.Errorf("%s %s: %v", name, what, got)
			}
		}
	}
}

// Key.Verify is for the algorithms of the key alone.
func TestKeyVerify(t *testing.T) {
	s := testSigners()
	for signed, a := range algorithms {
		sig := s.sign(t, a, "input")
		for name := range algorithms {
			free, bound := mustKey(t, "", "", s.public(a)), mustKey(t, "", signed, s.public(a))
			if got := free.Verify(name, "input", sig); got != (name == signed) {
				t.Errorf("%s as %s: %v", signed, name, got)
			}
			if got := bound.Verify(name, "input", sig); got != (name == signed) {
				t.Errorf("%s as %s, bound: %v", signed, name, got)
			}
		}
		if mustKey(t, "", "", s.public(a)).Verify("none", "input", sig) {
			t.Errorf("%s as none", signed)
		}
	}
}

// The public key's text as HMAC secret: the classic confusion.
func TestKeyConfusion(t *testing.T) {
	s := testSigners()
	for _, kty := range []any{&s.rsa.PublicKey, &s.ec["P-256"].PublicKey, s.ed.Public()} {
		key := mustKey(t, "", "", kty)
		if key.fits(algorithms["HS256"]) {
			t.Errorf("%s fits HS256", key)
		}
	}
	if _, err := NewKey("", "HS256", &s.rsa.PublicKey); err == nil {
		t.Error("an RSA key was bound to HS256")
	}
	if _, err := NewKey("", "none", &s.rsa.PublicKey); err == nil {
		t.Error("a key was bound to none")
	}
	if names := slices.Collect(func(y func(Algorithm) bool) {
		for n := range algorithms {
			if strings.EqualFold(string(n), "none") && !y(n) {
				return
			}
		}
	}); len(names) > 0 {
		t.Errorf("%v is an algorithm", names)
	}
}

// A token without kid meets a set of many keys: work is bounded.
func TestTriesAreBounded(t *testing.T) {
	s := testSigners()
	var keys []*Key
	for range 2 * maxTries {
		keys = append(keys, mustKey(t, "", "", &s.ec["P-256"].PublicKey))
	}
	token := s.token(t, "ES256", `{"alg":"ES256"}`, `{}`)
	bad := token[:len(token)-4] + "AAAA"
	if got := judge(NewKeySet(keys...), bad); got != VerificationFailed {
		t.Error(got)
	}
}
