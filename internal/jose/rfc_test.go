package jose

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/usher-mesh/usher/internal/jsondoc"
)

// rfcExample is an example of a JWS in an RFC: its key, and what we say of it as a
// JWS and as a JWT.
type rfcExample struct {
	Source         string
	Key            json.RawMessage
	JWS, Want, JWT string
}

func rfcExamples(t testing.TB) (l []rfcExample) {
	t.Helper()
	if err := json.Unmarshal([]byte(readFile(t, "rfc.json")), &l); err != nil {
		t.Fatal(err)
	}
	return l
}

func TestRFCExamples(t *testing.T) {
	for _, x := range rfcExamples(t) {
		keys, err := ParseKeySet(setJSON(t, x.Key))
		if err != nil {
			t.Fatal(x.Source, err)
		}
		j, err := ParseJWS(x.JWS, 0)
		if err == nil {
			_, err = keys.VerifyJWS(j)
		}
		if got := KindOf(err).String(); got != x.Want {
			t.Errorf("%s: %v, want %s", x.Source, err, x.Want)
		}
		if got := judge(keys, x.JWS).String(); got != x.JWT {
			t.Errorf("%s as a JWT: %s, want %s", x.Source, got, x.JWT)
		}
		// RFC 7515, 7.2: what is not for tokens is refused for what it is.
		var e *Error
		if strings.HasPrefix(x.JWS, "{") && (!errors.As(err, &e) || e.Detail != "it is JSON, not the compact form of a JWS") {
			t.Errorf("%s: %#v", x.Source, err)
		}
	}
}

// RFC 7519, 3.1: the claims, which are judged as they were in 2011.
func TestRFC7519Claims(t *testing.T) {
	tok, err := Parse(rfcExamples(t)[0].JWS, 0)
	if err != nil {
		t.Fatal(err)
	}
	if tok.Issuer != "joe" || tok.Expiry != 1300819380 || tok.Claims.Get("http://example.com/is_root").Kind() != jsondoc.True || tok.Header.Get("typ").JSON() != `"JWT"` {
		t.Errorf("%v %v", tok.Header, tok.Claims)
	}
	exp := time.Unix(1300819380, 0)
	for at, want := range map[time.Time]Kind{exp.Add(-time.Hour): OK, exp.Add(DefaultSkew): OK, exp.Add(DefaultSkew + time.Second): Expired} {
		if got := KindOf(tok.CheckTimes(at, DefaultSkew)); got != want {
			t.Errorf("at %s: %s", at, got)
		}
	}
}

// Keys of RFC 7517, A.1 and A.3, and RFC 8037, A.6 and A.7: those for encryption
// are skipped.
func TestRFCKeys(t *testing.T) {
	const doc = `{"keys":[
		{"kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM","use":"enc","kid":"1"},
		{"kty":"RSA","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw","e":"AQAB","alg":"RS256","kid":"2011-04-29"},
		{"kty":"oct","alg":"A128KW","k":"GawgguFyGrWKav7AX4VKUg"},
		{"kty":"oct","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow","kid":"HMAC key used in JWS spec Appendix A.1 example"},
		{"kty":"OKP","crv":"X25519","kid":"Bob","x":"3p7bfXt9wbTTW2HC7OQ1Nz-DQ8hbeGdNrfx-FG-IK08"},
		{"kty":"OKP","crv":"X448","kid":"Dave","x":"PreoKbDNIPW8_AtZm2_sz22kYnEHvbDU80W0MCfYuXL8PjT7QjKhPKcG3LV67D2uB73BxnvzNgk"}]}`
	set, err := ParseKeySet([]byte(doc))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := set.String(), `2 keys: RSA-2048 "2011-04-29", oct-512 "HMAC key used in JWS spec Appendix A.1 example"`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	want := []string{"use is enc: it is for encryption only", "the secret has 16 bytes, fewer than 32", "crv is not Ed25519", "crv is not Ed25519"}
	for i, s := range set.Skipped() {
		if i >= len(want) || s.Reason != want[i] {
			t.Errorf("key %d is skipped: %s", s.Index, s.Reason)
		}
	}
}
