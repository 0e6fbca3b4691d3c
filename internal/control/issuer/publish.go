package issuer

import (
	"crypto/sha256"
	_ "embed" // the sample key set
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"
)

// sample is Istio's public sample key set, security/tools/jwt/samples/jwks.json of
// github.com/istio/istio (Apache-2.0).
//
//go:embed sample.json
var sample []byte

// fresh is how long a set may be used without asking again, in seconds. Short: a
// minted token may be of a new key.
const fresh = "max-age=60"

// Handler serves /i/<name>/jwks and /i/<name>/.well-known/openid-configuration;
// a name that was never used gets its keys then, of the first maxNamesByGet.
func (i *Issuer) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, rq *http.Request) {
		if rq.Method != http.MethodGet && rq.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "only GET and HEAD", http.StatusMethodNotAllowed)
			return
		}
		name, file, err := splitPath(rq.URL.EscapedPath())
		if err != nil {
			http.Error(w, err.Error(), http.StatusNotFound)
			return
		}
		var doc any
		if file == "jwks" {
			doc, err = i.public(name)
		} else {
			doc = metadata(name)
		}
		switch {
		case errors.Is(err, errFull):
			http.Error(w, "too many issuer names; `usher token mint` makes more", http.StatusNotFound)
		case err != nil:
			i.log.Error("issuer keys cannot be served", "error", err)
			http.Error(w, "keys cannot be read", http.StatusInternalServerError)
		default:
			answer(w, rq, doc)
		}
	})
}

// splitPath takes apart /i/<name>/<file>. The name is escaped in the path: it may
// be a URL itself.
func splitPath(escaped string) (name, file string, err error) {
	notFound := errors.New("not found: /i/<issuer>/jwks and /i/<issuer>/.well-known/openid-configuration are served")
	rest, ok := strings.CutPrefix(escaped, "/i/")
	if !ok {
		return "", "", notFound
	}
	seg, file, _ := strings.Cut(rest, "/")
	if file != "jwks" && file != ".well-known/openid-configuration" {
		return "", "", notFound
	}
	if seg, err = url.PathUnescape(seg); err != nil {
		return "", "", notFound
	}
	if strings.HasPrefix(seg, BaseURL+"/i/") {
		return "", "", notFound // another name's URL is not a name
	}
	name, err = Name(seg)
	return name, file, err
}

// public gives the public halves of a name's keys, old ones included.
func (i *Issuer) public(name string) (any, error) {
	f, err := i.read(name)
	if err != nil {
		return nil, err
	}
	if len(f.Keys) == 0 {
		if f, err = i.use(name, jose.RS256, 0, maxNamesByGet); err != nil {
			return nil, err
		}
	}
	f.forget(i.now())
	all := slices.Clone(f.Keys)
	for _, r := range f.Retired {
		all = append(all, r.Key)
	}
	var keys []json.RawMessage
	for _, k := range all {
		b, err := k.Public().MarshalJSON()
		if err != nil {
			return nil, fmt.Errorf("public key %s: %w", k.KeyID, err)
		}
		keys = append(keys, b)
	}
	if name == SampleIssuer {
		var s struct {
			Keys []json.RawMessage `json:"keys"`
		}
		if err := json.Unmarshal(sample, &s); err != nil {
			return nil, err
		}
		keys = append(keys, s.Keys...)
	}
	return map[string]any{"keys": keys}, nil
}

// metadata is the discovery document (OpenID Connect Discovery 1.0, section 3)
// less the endpoints that a development issuer does not have.
func metadata(name string) any {
	return map[string]any{
		"issuer":                                BaseURL + "/i/" + url.PathEscape(name),
		"jwks_uri":                              KeysURL(name),
		"response_types_supported":              []string{"id_token"},
		"subject_types_supported":               []string{"public"},
		"id_token_signing_alg_values_supported": asymmetric,
	}
}

func answer(w http.ResponseWriter, rq *http.Request, doc any) {
	b, err := json.Marshal(doc)
	if err != nil {
		http.Error(w, "keys cannot be written", http.StatusInternalServerError)
		return
	}
	sum := sha256.Sum256(b)
	etag := `"` + base64.RawURLEncoding.EncodeToString(sum[:16]) + `"`
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", fresh)
	h.Set("Etag", etag)
	h.Set("X-Content-Type-Options", "nosniff")
	if rq.Header.Get("If-None-Match") == etag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	_, _ = w.Write(b) // the client's loss
}
