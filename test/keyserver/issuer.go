package keyserver

import (
	"crypto/ecdsa"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// Issuer is a key server whose keys (ES256) change.
type Issuer struct {
	Name  string       // iss; if it is the server's URL, discovery leads to the keys
	Asked atomic.Int64 // for keys

	t    testing.TB
	mu   sync.Mutex
	keys map[string]*ecdsa.PrivateKey // published, by kid
	down bool
}

// NewIssuer has a key of each kid.
func NewIssuer(t testing.TB, name string, kids ...string) *Issuer {
	i := &Issuer{Name: name, t: t, keys: map[string]*ecdsa.PrivateKey{}}
	for _, k := range kids {
		i.Publish(k)
	}
	return i
}

// Publish adds a new key.
func (i *Issuer) Publish(kid string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.keys[kid] = newKey(i.t)
}

// Withdraw takes a key away.
func (i *Issuer) Withdraw(kid string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	delete(i.keys, kid)
}

// Fail has it answer 503, or not any more.
func (i *Issuer) Fail(down bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.down = down
}

// Token makes a token that is good for ttl, signed by the key of that kid, or by
// one that was never published.
func (i *Issuer) Token(kid string, ttl time.Duration) string {
	i.t.Helper()
	i.mu.Lock()
	key := i.keys[kid]
	i.mu.Unlock()
	if key == nil {
		key = newKey(i.t)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: key, KeyID: kid}}, nil)
	if err != nil {
		i.t.Fatal(err)
	}
	payload, err := json.Marshal(map[string]any{"iss": i.Name, "sub": "me", "exp": time.Now().Add(ttl).Unix()})
	if err != nil {
		i.t.Fatal(err)
	}
	jws, err := signer.Sign(payload)
	if err != nil {
		i.t.Fatal(err)
	}
	token, err := jws.CompactSerialize()
	if err != nil {
		i.t.Fatal(err)
	}
	return token
}

// JWKS is what it publishes.
func (i *Issuer) JWKS() []byte {
	i.mu.Lock()
	defer i.mu.Unlock()
	var s jose.JSONWebKeySet
	for kid, k := range i.keys {
		s.Keys = append(s.Keys, jose.JSONWebKey{Key: &k.PublicKey, KeyID: kid, Algorithm: "ES256", Use: "sig"})
	}
	b, err := json.Marshal(s)
	if err != nil {
		panic(err) // public keys can be marshalled
	}
	return b
}

// ServeHTTP answers with the discovery document at its path, and with the key set,
// which it counts, anywhere else.
func (i *Issuer) ServeHTTP(w http.ResponseWriter, rq *http.Request) {
	i.mu.Lock()
	down := i.down
	i.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	switch {
	case rq.URL.Path == "/.well-known/openid-configuration" && !down:
		fmt.Fprintf(w, `{"issuer":%q,"jwks_uri":%q}`, i.Name, i.Name+"/keys")
		return
	case rq.URL.Path != "/.well-known/openid-configuration":
		i.Asked.Add(1)
	}
	if down {
		http.Error(w, "down", http.StatusServiceUnavailable)
		return
	}
	_, _ = w.Write(i.JWKS())
}
