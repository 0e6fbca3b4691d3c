package format

import (
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
)

// whose gives a certificate, nil if there is none.
type whose func(*Subject) *x509.Certificate

// clientCert is what the client has shown and somebody has verified.
func clientCert(s *Subject) *x509.Certificate {
	if s.X.Conn == nil {
		return nil
	}
	return s.X.Conn.Peer
}

// ownCert is what the client was shown.
func ownCert(s *Subject) *x509.Certificate {
	if s.X.Conn == nil {
		return nil
	}
	return s.X.Conn.Shown
}

// endpointCert is what the endpoint has shown.
func endpointCert(s *Subject) *x509.Certificate {
	state := upstreamState(s)
	if state == nil || len(state.PeerCertificates) == 0 {
		return nil
	}
	return state.PeerCertificates[0]
}

// endpointSees is what this side has for the endpoint.
func endpointSees(s *Subject) *x509.Certificate {
	if s.X.Upstream == nil {
		return nil
	}
	return s.X.Upstream.Shown
}

// of makes an operator of what is said of a certificate, "" for nothing.
func (get whose) of(say func(*x509.Certificate) string) operator {
	return textOf(func(s *Subject) string {
		c := get(s)
		if c == nil {
			return ""
		}
		return say(c)
	})
}

// at makes operators of a time that a certificate has.
func (get whose) at(when func(*x509.Certificate) time.Time) func(string) (operator, error) {
	return timeOf(func(s *Subject) time.Time {
		c := get(s)
		if c == nil {
			return time.Time{}
		}
		return when(c)
	}, false)
}

func uris(c *x509.Certificate) string     { return joined(c.URIs, (*url.URL).String) }
func dnsNames(c *x509.Certificate) string { return strings.Join(c.DNSNames, ",") }
func ips(c *x509.Certificate) string      { return joined(c.IPAddresses, net.IP.String) }
func emails(c *x509.Certificate) string   { return strings.Join(c.EmailAddresses, ",") }
func subject(c *x509.Certificate) string  { return c.Subject.String() }
func issuer(c *x509.Certificate) string   { return c.Issuer.String() }
func serial(c *x509.Certificate) string   { return hex.EncodeToString(c.SerialNumber.Bytes()) }
func sha256Of(c *x509.Certificate) string { d := sha256.Sum256(c.Raw); return hex.EncodeToString(d[:]) }
func sha1Of(c *x509.Certificate) string   { d := sha1.Sum(c.Raw); return hex.EncodeToString(d[:]) }

// encoded is percent-encoded PEM, as in X-Forwarded-Client-Cert.
func encoded(c *x509.Certificate) string {
	return strings.ReplaceAll(url.QueryEscape(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))), "+", "%20")
}

func notBefore(c *x509.Certificate) time.Time { return c.NotBefore }
func notAfter(c *x509.Certificate) time.Time  { return c.NotAfter }

// peerURIs are those of a certificate that the mesh's authority vouches for.
func peerURIs(c *exchange.Conn) string {
	if c.Peer == nil || c.Foreign {
		return c.PeerURI
	}
	return uris(c.Peer)
}

// ofChain says something of each certificate that the client has shown, its own first.
func ofChain(say func(*x509.Certificate) string) func(*exchange.Conn) string {
	return func(c *exchange.Conn) string { return joined(c.Chain, say) }
}

func joined[T any](list []T, text func(T) string) string {
	var all []string
	for _, e := range list {
		all = append(all, text(e))
	}
	return strings.Join(all, ",")
}
