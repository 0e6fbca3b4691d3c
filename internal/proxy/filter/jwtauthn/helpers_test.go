package jwtauthn

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	jwtv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/jwt_authn/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/structpb"
	"sigs.k8s.io/yaml"

	"github.com/usher-mesh/usher/internal/jose"
	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/filter"
)

// testNow is the clock of every test here.
var testNow = time.Unix(1_700_000_000, 0)

// issuerKey is a key of a test's issuer, with its JWK set.
type issuerKey struct {
	kid     string
	private ed25519.PrivateKey
}

var testKeys = sync.OnceValue(func() map[string]issuerKey {
	m := map[string]issuerKey{}
	for _, kid := range []string{"one", "two", "rotated"} {
		_, k, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			panic(err)
		}
		m[kid] = issuerKey{kid, k}
	}
	return m
})

func (k issuerKey) jwks() string {
	x := base64.RawURLEncoding.EncodeToString(k.private.Public().(ed25519.PublicKey))
	return `{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"` + k.kid + `","x":"` + x + `"}]}`
}

func (k issuerKey) set(t testing.TB) *jose.KeySet {
	t.Helper()
	s, err := jose.ParseKeySet([]byte(k.jwks()))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// token signs claims, JSON text, with a key.
func token(kid, claims string) string {
	k := testKeys()[kid]
	e := base64.RawURLEncoding.EncodeToString
	input := e([]byte(`{"alg":"EdDSA","kid":"`+kid+`"}`)) + "." + e([]byte(claims))
	return input + "." + e(ed25519.Sign(k.private, []byte(input)))
}

// quoteJSON gives text as a YAML (and JSON) string.
func quoteJSON(s string) string { b, _ := json.Marshal(s); return string(b) }

// configText fills JWKS_one and JWKS_two in.
func configText(text string) string {
	for kid, k := range testKeys() {
		text = strings.ReplaceAll(text, "JWKS_"+kid, quoteJSON(k.jwks()))
	}
	return text
}

func parseConfig(t testing.TB, text string) *anypb.Any {
	t.Helper()
	j, err := yaml.YAMLToJSON([]byte(configText(text)))
	if err != nil {
		t.Fatal(err)
	}
	var m jwtv3.JwtAuthentication
	if err := protojson.Unmarshal(j, &m); err != nil {
		t.Fatal(err)
	}
	a, err := anypb.New(&m)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func newFilter(t testing.TB, text string, o Options) *Filter {
	t.Helper()
	f, err := tryFilter(t, text, o, "")
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func tryFilter(t testing.TB, text string, o Options, prefix string) (*Filter, error) {
	t.Helper()
	if o.Now == nil {
		o.Now = func() time.Time { return testNow }
	}
	c := filter.Config{Name: "jwt", Typed: parseConfig(t, text)}
	if prefix != "" {
		s, err := structpb.NewStruct(map[string]any{"jwt_authn": map[string]any{"jwt": map[string]any{"text_prefix": prefix}}})
		if err != nil {
			t.Fatal(err)
		}
		c.Usher = s
	}
	f, err := Factory(o).New(c)
	if err != nil {
		return nil, err
	}
	return f.(*Filter), nil
}

// request makes a GET of path with headers "name: value".
func get(path string, headers ...string) *exchange.Exchange {
	x := &exchange.Exchange{Conn: &exchange.Conn{}}
	x.Request.Method, x.Request.Scheme, x.Request.Authority, x.Request.Path = "GET", "http", "host", path
	for _, h := range headers {
		n, v, _ := strings.Cut(h, ": ")
		x.Request.Header.Add(n, v)
	}
	return x
}

func bearer(token string) string { return "authorization: Bearer " + token }

// answer gives the refusal's body, or "OK".
func answer(f *Filter, x *exchange.Exchange) string {
	if f.Decode(x) {
		return "OK"
	}
	body, _ := x.Local()
	return body
}

// fakeKeys is a KeySets whose set a test changes.
type fakeKeys struct {
	mu   sync.Mutex
	set  *jose.KeySet
	want []Source
	kids []string
	next *jose.KeySet // in force once an unknown kid is asked for
}

func (k *fakeKeys) Want(s Source) { k.mu.Lock(); defer k.mu.Unlock(); k.want = append(k.want, s) }

func (k *fakeKeys) Keys(_ context.Context, _ Source, kid string) (*jose.KeySet, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.kids = append(k.kids, kid)
	if kid != "" && k.next != nil && (k.set == nil || !k.set.Has(kid)) {
		k.set = k.next
	}
	if k.set == nil {
		return nil, errors.New("the issuer does not answer")
	}
	return k.set, nil
}

func jsonLog(b *strings.Builder) *slog.Logger {
	return slog.New(slog.NewJSONHandler(b, &slog.HandlerOptions{Level: slog.LevelDebug}))
}
