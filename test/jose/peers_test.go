package jose

import (
	"fmt"
	"testing"
	"time"

	gojose "github.com/go-jose/go-jose/v4"
	gojosejwt "github.com/go-jose/go-jose/v4/jwt"
	golangjwt "github.com/golang-jwt/jwt/v5"
	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/lestrrat-go/jwx/v3/jwt"

	"github.com/usher-mesh/usher/internal/jose"
)

// What every verifier here wants of a token besides its signature and times.
const (
	issuer   = "https://issuer.example/realms/shop"
	audience = "orders"
)

// verifier judges a token as its library's documentation tells users to: signature
// by a key for one algorithm, times, issuer, audience.
type verifier func(token string) error

// peers are the libraries by name, each ready to verify one algorithm.
func peers(t testing.TB, alg jose.Algorithm) map[string]verifier {
	return map[string]verifier{
		"usher":      usher(t, alg),
		"golang-jwt": golangJWT(alg),
		"go-jose":    goJose(alg),
		"jwx":        jwx(t, alg),
	}
}

func keySet(t testing.TB, alg jose.Algorithm) *jose.KeySet {
	t.Helper()
	k, err := jose.NewKey(kid, alg, public(alg))
	if err != nil {
		t.Fatal(err)
	}
	return jose.NewKeySet(k)
}

func usher(t testing.TB, alg jose.Algorithm) verifier {
	keys, audiences := keySet(t, alg), jose.NewAudiences([]string{audience})
	return func(token string) error {
		tok, err := jose.Parse(token, 0)
		if err != nil {
			return err
		}
		if tok.Issuer != issuer {
			return fmt.Errorf("issuer")
		}
		if err := tok.CheckTimes(time.Now(), jose.DefaultSkew); err != nil {
			return err
		}
		if err := audiences.Check(tok); err != nil {
			return err
		}
		_, err = keys.Verify(tok)
		return err
	}
}

func golangJWT(alg jose.Algorithm) verifier {
	key := public(alg)
	p := golangjwt.NewParser(golangjwt.WithValidMethods([]string{string(alg)}), golangjwt.WithIssuer(issuer),
		golangjwt.WithAudience(audience), golangjwt.WithLeeway(time.Minute))
	return func(token string) error {
		_, err := p.Parse(token, func(*golangjwt.Token) (any, error) { return key, nil })
		return err
	}
}

func goJose(alg jose.Algorithm) verifier {
	key := public(alg)
	algs := []gojose.SignatureAlgorithm{gojose.SignatureAlgorithm(alg)}
	return func(token string) error {
		tok, err := gojosejwt.ParseSigned(token, algs)
		if err != nil {
			return err
		}
		var registered gojosejwt.Claims
		var all map[string]any
		if err := tok.Claims(key, &registered, &all); err != nil {
			return err
		}
		return registered.ValidateWithLeeway(gojosejwt.Expected{
			Issuer: issuer, AnyAudience: gojosejwt.Audience{audience}, Time: time.Now(),
		}, time.Minute)
	}
}

func jwx(t testing.TB, alg jose.Algorithm) verifier {
	key, err := jwk.Import(public(alg))
	if err != nil {
		t.Fatal(err)
	}
	a, ok := jwa.LookupSignatureAlgorithm(string(alg))
	if !ok {
		t.Fatalf("jwx does not know %s", alg)
	}
	return func(token string) error {
		_, err := jwt.ParseString(token, jwt.WithKey(a, key), jwt.WithIssuer(issuer),
			jwt.WithAudience(audience), jwt.WithAcceptableSkew(time.Minute))
		return err
	}
}
