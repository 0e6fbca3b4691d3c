package cli

import (
	"fmt"
	"strings"
	"time"

	"github.com/usher-mesh/usher/internal/jose"
)

const (
	// longLife is from where on a token's time is worth a remark, in seconds.
	longLife = 366 * 24 * 3600
	// millis is a time that can only be meant as milliseconds: in seconds it is the
	// year 5138, in milliseconds 1973.
	millis = 100_000_000_000
	// longToken is what many servers take as one header field, in bytes.
	longToken = 8 << 10
)

// oddities are what a reader should know of a token before trusting its issuer.
func oddities(t *jose.Token, size int, now time.Time) []string {
	l := timeOddities(t, uint64(max(now.Unix(), 0)))
	add := func(format string, args ...any) { l = append(l, fmt.Sprintf(format, args...)) }
	if t.Issuer == "" {
		add("it has no iss: no policy that names an issuer takes it")
	}
	if strings.TrimSpace(t.Issuer) != t.Issuer {
		add("iss has white space at an end")
	}
	for _, n := range []string{"jku", "jwk", "x5u", "x5c"} {
		if t.Header.Get(n) != nil {
			add("%s in the header is ignored: whose keys count is for the policy to say, not for the token", n)
		}
	}
	if size > longToken {
		add("it has %d bytes: many servers take no header that long", size)
	}
	return l
}

// remarks are what is in order, and worth knowing.
func remarks(t *jose.Token) (l []string) {
	if len(t.Audience) == 0 {
		l = append(l, "it has no aud: it is for anybody who trusts the issuer")
	}
	if t.KeyID == "" {
		l = append(l, "it has no kid: every key of the issuer is tried")
	}
	if strings.HasPrefix(string(t.Alg), "HS") {
		l = append(l, fmt.Sprintf("%s is a shared secret: whoever can verify it can make one", t.Alg))
	}
	return l
}

func timeOddities(t *jose.Token, now uint64) (l []string) {
	add := func(format string, args ...any) { l = append(l, fmt.Sprintf(format, args...)) }
	for _, c := range []struct {
		name string
		sec  uint64
	}{{"exp", t.Expiry}, {"nbf", t.NotBefore}, {"iat", t.IssuedAt}} {
		if c.sec >= millis {
			add("%s looks like milliseconds, and is read as seconds (RFC 7519, 2)", c.name)
		}
	}
	switch {
	case !t.HasExpiry:
		add("it has no exp: it never expires")
	case t.Expiry <= now:
		add("it expired %s ago", words(now-t.Expiry))
	case t.Expiry < millis && t.Expiry-now > longLife:
		add("it is good for another %s", words(t.Expiry-now))
	}
	if t.NotBefore > now && t.NotBefore < millis {
		add("it is not valid before %s from now", words(t.NotBefore-now))
	}
	if t.HasExpiry && t.NotBefore > t.Expiry {
		add("nbf is later than exp: it is never valid")
	}
	if t.HasExpiry && t.IssuedAt > t.Expiry {
		add("iat is later than exp: it had expired before it was made")
	}
	if t.IssuedAt > now+60 && t.IssuedAt < millis {
		add("iat is %s in the future", words(t.IssuedAt-now))
	}
	return l
}
