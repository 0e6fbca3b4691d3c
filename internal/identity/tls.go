package identity

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
)

// Option changes how a TLS configuration judges.
type Option func(*judge)

type judge struct{ now func() time.Time }

// WithClock sets the clock that certificates are judged by; the default is
// time.Now.
func WithClock(now func() time.Time) Option { return func(j *judge) { j.now = now } }

func newJudge(opts []Option) *judge {
	j := &judge{now: time.Now}
	for _, o := range opts {
		o(j)
	}
	return j
}

// ServerTLS is the mTLS configuration of a server: TLS 1.2 or later; the client
// must show a certificate for client authentication that chains to the source's
// roots, names exactly one SPIFFE ID, is of the source's own trust domain, and
// passes allowed (nil: everyone of the trust domain).
func ServerTLS(s Source, allowed func(spiffeid.ID) error, opts ...Option) *tls.Config {
	j := newJudge(opts)
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		// Time also bounds how long a session can be resumed.
		Time:           j.now,
		ClientAuth:     tls.RequireAnyClientCert,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return s.Certificate() },
		VerifyConnection: func(cs tls.ConnectionState) error {
			id, err := peer(cs, s, x509.ExtKeyUsageClientAuth, j.now())
			if err != nil {
				return fmt.Errorf("client: %w", err)
			}
			if err := sameTrustDomain(s, id); err != nil {
				return fmt.Errorf("client: %w", err)
			}
			if allowed == nil {
				return nil
			}
			if err := allowed(id); err != nil {
				return fmt.Errorf("client: %w", err)
			}
			return nil
		},
	}
}

// ServerTLSOptionalClient is ServerTLS for a server that knows its clients by
// something else than certificates (the CSR service, by tokens): none is asked
// for.
func ServerTLSOptionalClient(s CertificateSource, opts ...Option) *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		Time:           newJudge(opts).now,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return s.Certificate() },
	}
}

// ClientTLS is the mTLS configuration of a client: the server's certificate must
// be for server authentication, chain to the source's roots and name exactly one
// SPIFFE ID, one of serverIDs. No serverIDs means that no server is accepted.
func ClientTLS(s Source, serverIDs []string, opts ...Option) *tls.Config {
	c := RootsTLS(s, serverIDs, opts...)
	c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return s.Certificate() }
	return c
}

// RootsTLS is ClientTLS for a client that shows no certificate, since it has none
// yet.
func RootsTLS(r RootSource, serverIDs []string, opts ...Option) *tls.Config {
	j := newJudge(opts)
	want := make(map[string]bool, len(serverIDs))
	for _, id := range serverIDs {
		want[id] = true
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		Time:       j.now,
		// The server is known by its SPIFFE ID, not by its host name:
		// VerifyConnection checks all of the chain.
		InsecureSkipVerify: true,
		VerifyConnection: func(cs tls.ConnectionState) error {
			id, err := peer(cs, r, x509.ExtKeyUsageServerAuth, j.now())
			if err != nil {
				return fmt.Errorf("server: %w", err)
			}
			if len(want) == 0 {
				return errors.New("server: no identity is expected of it, so none is accepted")
			}
			if !want[id.String()] {
				return fmt.Errorf("server: it is %s, expected %s", id, strings.Join(serverIDs, " or "))
			}
			return nil
		},
	}
}
