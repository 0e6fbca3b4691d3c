package cli

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/usher-mesh/usher/internal/atomicfile"
	"github.com/usher-mesh/usher/internal/control/issuer"
	"github.com/usher-mesh/usher/internal/jose"
	"github.com/usher-mesh/usher/internal/jwks"
)

// loadKeys gets a key set of a file (JWK set or PEM) or, as the mesh would, of a URL.
func loadKeys(ctx context.Context, from string) (*jose.KeySet, error) {
	if strings.HasPrefix(from, "http://") || strings.HasPrefix(from, "https://") {
		tr := keysTransport()
		defer tr.CloseIdleConnections()
		set, err := jwks.Fetch(ctx, tr, jwks.Target{URI: from})
		if err != nil {
			return nil, err
		}
		return set.Keys, nil
	}
	text, err := atomicfile.ReadLimited(from, jose.MaxKeySetSize)
	if err != nil {
		return nil, err
	}
	if strings.HasPrefix(strings.TrimSpace(string(text)), "-----BEGIN ") {
		keys, err := jose.ParsePEM(text)
		return jose.NewKeySet(keys...), err
	}
	return jose.ParseKeySet(text)
}

// keysTransport reaches the development issuer by its name in the mesh, which
// policies have.
func keysTransport() *http.Transport {
	tr := http.DefaultTransport.(*http.Transport).Clone()
	u, err := url.Parse(issuer.BaseURL)
	if err != nil {
		panic(err) // it is a constant
	}
	dial := tr.DialContext
	tr.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		if addr == net.JoinHostPort(u.Hostname(), "80") {
			_, up, err := upMesh(ctx)
			if err != nil {
				return nil, fmt.Errorf("the development issuer: %w", err)
			}
			addr = up.Issuer
		}
		return dial(ctx, network, addr)
	}
	return tr
}
