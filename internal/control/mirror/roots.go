package mirror

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"os"
	"sync/atomic"
	"time"
)

// rootsTransport is the transport with the roots that are trusted now.
type rootsTransport struct{ atomic.Pointer[http.Transport] }

// RoundTrip is http.RoundTripper's.
func (t *rootsTransport) RoundTrip(rq *http.Request) (*http.Response, error) {
	return t.Load().RoundTrip(rq)
}

func (m *Mirror) newTransport(roots *x509.CertPool) *http.Transport {
	return &http.Transport{
		DialContext: m.dial,
		// No proxy: it would connect where the policy forbids.
		Proxy:                  nil,
		TLSClientConfig:        &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12, Time: m.o.Now},
		TLSHandshakeTimeout:    5 * time.Second,
		ResponseHeaderTimeout:  5 * time.Second,
		MaxResponseHeaderBytes: 64 << 10,
		// Minutes lie between fetches, endpoints move, and roots go.
		DisableKeepAlives: true,
	}
}

// trust trusts these roots (PEM) and the system's from now on.
func (m *Mirror) trust(extra []byte) {
	pool := m.o.Roots.Clone()
	pool.AppendCertsFromPEM(extra)
	m.transport.Store(m.newTransport(pool))
	m.extra = extra
}

// SystemRoots gives the system's roots and those of the file $SSL_CERT_FILE, on
// every system. (On Linux the Go runtime reads that file in place of the system's
// bundle; on macOS it does not read it.)
func SystemRoots() (*x509.CertPool, error) {
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	file := os.Getenv("SSL_CERT_FILE")
	if file == "" {
		return pool, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("SSL_CERT_FILE: %w", err)
	}
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("SSL_CERT_FILE: %s holds no certificate", file)
	}
	return pool, nil
}
