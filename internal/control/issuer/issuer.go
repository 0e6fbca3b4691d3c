// Package issuer is the development issuer of tokens: one key set per issuer name,
// kept in a folder, published over HTTP and minted from by the command line. The
// folder may be used by several processes at once. It knows nothing of the mesh.
package issuer

import (
	"log/slog"
	"net/http"
	"time"
)

// BaseURL is where the mesh finds the issuer.
const BaseURL = "http://issuer.istio-system.svc.cluster.local"

// SampleIssuer is the name whose set also holds Istio's public sample key. Its
// private half is published, so anybody can make tokens of that issuer.
const SampleIssuer = "testing@secure.istio.io"

// Issuer keeps the key sets of a folder.
type Issuer struct{}

// Open uses the folder, making it (0700) if there is none.
func Open(dir string, log *slog.Logger) (*Issuer, error) { panic("unfinished") }

// Handler serves /i/<name>/jwks and /i/<name>/.well-known/openid-configuration;
// a name that was never used gets its keys then, within bounds.
func (i *Issuer) Handler() http.Handler { panic("unfinished") }

// MintRequest is one token to make.
type MintRequest struct {
	Issuer   string
	Subject  string
	Audience []string       // one: a string in the token; several: a list
	Claims   map[string]any // further claims, as encoding/json marshals them; may set exp, iat, nbf, jti
	TTL      time.Duration  // 0: an hour; negative: already expired
	Alg      string         // RFC 7518 name; default RS256
	Secret   []byte         // HS256, HS384, HS512 only
	Now      time.Time      // zero: the clock
}

// Mint makes a signed token, and the key if the issuer has none of that algorithm.
func (i *Issuer) Mint(r MintRequest) (string, error) { panic("unfinished") }
