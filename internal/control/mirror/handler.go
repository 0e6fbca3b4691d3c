package mirror

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/usher-mesh/usher/internal/jwks"
)

const pathPrefix = "/jwks/"

// Path is where the mirror serves the key set of a URI.
func Path(uri string) string {
	return pathPrefix + base64.RawURLEncoding.EncodeToString([]byte(uri))
}

// Handler serves GET /jwks/<base64url of the URI>?kid=<kid>: 200 with ETag and
// Usher-Jwks-Age, 304, 404 for a URI that no object names, 503 when there are no
// keys to be had. Who may ask is the listener's matter.
func (m *Mirror) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, rq *http.Request) {
		if rq.Method != http.MethodGet && rq.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "only GET and HEAD", http.StatusMethodNotAllowed)
			return
		}
		name, ok := strings.CutPrefix(rq.URL.Path, pathPrefix)
		uri, err := base64.RawURLEncoding.Strict().DecodeString(name)
		if !ok || err != nil {
			http.Error(w, "not found", http.StatusNotFound)
			return
		}
		kid := rq.URL.Query().Get("kid")
		if len(kid) > jwks.MaxKID {
			http.Error(w, fmt.Sprintf("kid is longer than %d bytes", jwks.MaxKID), http.StatusBadRequest)
			return
		}
		s, err := m.cache.Get(rq.Context(), string(uri), kid)
		switch {
		case errors.Is(err, jwks.ErrUnknown):
			http.Error(w, err.Error(), http.StatusNotFound)
		case err != nil:
			w.Header().Set("Retry-After", "1")
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
		default:
			m.answer(w, rq, s)
		}
	})
}

func (m *Mirror) answer(w http.ResponseWriter, rq *http.Request, s *jwks.Set) {
	h := w.Header()
	h.Set("Etag", s.ETag)
	h.Set("Cache-Control", "max-age=15")
	// Rounded up: keys are never said to be younger than they are.
	age := max(0, m.o.Now().Sub(s.Fetched)+time.Second-1)
	h.Set(jwks.MaxAgeHeader, strconv.FormatInt(int64(s.MaxAge/time.Second), 10))
	h.Set(jwks.AgeHeader, strconv.FormatInt(int64(age/time.Second), 10))
	if rq.Header.Get("If-None-Match") == s.ETag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h.Set("Content-Type", "application/json")
	_, _ = w.Write(s.JSON) // the client's loss
}
