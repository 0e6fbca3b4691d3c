package format

import (
	"crypto/sha1"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
)

// which part of an address is meant.
type which uint8

const (
	whole which = iota
	hostOnly
	portOnly
)

func direct(c *exchange.Conn) netip.AddrPort   { return c.Direct }
func local(c *exchange.Conn) netip.AddrPort    { return c.Local }
func accepted(c *exchange.Conn) netip.AddrPort { return c.Accepted }

func remote(s *Subject) netip.AddrPort        { return s.X.Remote() }
func upstreamLocal(s *Subject) netip.AddrPort { return s.X.UpstreamLocal }

// upstreamRemote is the endpoint that there was a connection to.
func upstreamRemote(s *Subject) string {
	if !s.X.UpstreamLocal.IsValid() {
		return ""
	}
	return s.X.UpstreamHost
}

// address is what an operator makes of an address of the client's connection.
func address(get func(*exchange.Conn) netip.AddrPort, w which) operator {
	return addressOf(func(s *Subject) (a netip.AddrPort) {
		if s.X.Conn != nil {
			a = get(s.X.Conn)
		}
		return a
	}, w)
}

func addressOf(get func(*Subject) netip.AddrPort, w which) operator {
	return func(b []byte, s *Subject) ([]byte, kind) {
		a := get(s)
		switch {
		case !a.IsValid():
			return b, missing
		case w == hostOnly:
			return a.Addr().AppendTo(b), text
		case w == portOnly:
			return strconv.AppendUint(b, uint64(a.Port()), 10), bare
		}
		return a.AppendTo(b), text
	}
}

// host cuts the port off "ip:port" or "name:port".
func host(address string) string {
	h, _, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	return h
}

func portOf(get func(*Subject) string) operator {
	return func(b []byte, s *Subject) ([]byte, kind) {
		_, p, err := net.SplitHostPort(get(s))
		if err != nil {
			return b, missing
		}
		return append(b, p...), bare
	}
}

// ofConn asks the client's connection.
func ofConn(get func(*exchange.Conn) string) func(*Subject) string {
	return func(s *Subject) string {
		if s.X.Conn == nil {
			return ""
		}
		return get(s.X.Conn)
	}
}

func serverName(c *exchange.Conn) string { return c.SNI }

func tlsVersion(c *exchange.Conn) string {
	switch c.Version {
	case tls.VersionTLS12:
		return "TLSv1.2"
	case tls.VersionTLS13:
		return "TLSv1.3"
	}
	return ""
}

// ciphers are OpenSSL's names of what crypto/tls has.
var ciphers = map[uint16]string{
	tls.TLS_AES_128_GCM_SHA256: "TLS_AES_128_GCM_SHA256", tls.TLS_AES_256_GCM_SHA384: "TLS_AES_256_GCM_SHA384",
	tls.TLS_CHACHA20_POLY1305_SHA256:                  "TLS_CHACHA20_POLY1305_SHA256",
	tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256:         "ECDHE-RSA-AES128-GCM-SHA256",
	tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384:         "ECDHE-RSA-AES256-GCM-SHA384",
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256:       "ECDHE-ECDSA-AES128-GCM-SHA256",
	tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384:       "ECDHE-ECDSA-AES256-GCM-SHA384",
	tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256:   "ECDHE-RSA-CHACHA20-POLY1305",
	tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256: "ECDHE-ECDSA-CHACHA20-POLY1305",
	tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA:            "ECDHE-RSA-AES128-SHA",
	tls.TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA:            "ECDHE-RSA-AES256-SHA",
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA:          "ECDHE-ECDSA-AES128-SHA",
	tls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA:          "ECDHE-ECDSA-AES256-SHA",
}

func tlsCipher(c *exchange.Conn) string {
	if c.Cipher == 0 {
		return ""
	}
	if n := ciphers[c.Cipher]; n != "" {
		return n
	}
	return tls.CipherSuiteName(c.Cipher)
}

// ofPeer asks the client's certificate.
func ofPeer(get func(*x509.Certificate) string) func(*exchange.Conn) string {
	return func(c *exchange.Conn) string {
		if c.Peer == nil {
			return ""
		}
		return get(c.Peer)
	}
}

// peerURIs are those of a certificate that the mesh's authority vouches for.
func peerURIs(c *exchange.Conn) string {
	if c.Peer == nil || c.Foreign {
		return c.PeerURI
	}
	return joined(c.Peer.URIs, (*url.URL).String)
}

var (
	peerDNS     = ofPeer(func(c *x509.Certificate) string { return strings.Join(c.DNSNames, ",") })
	peerIPs     = ofPeer(func(c *x509.Certificate) string { return joined(c.IPAddresses, net.IP.String) })
	peerEmails  = ofPeer(func(c *x509.Certificate) string { return strings.Join(c.EmailAddresses, ",") })
	peerSubject = ofPeer(func(c *x509.Certificate) string { return c.Subject.String() })
	peerIssuer  = ofPeer(func(c *x509.Certificate) string { return c.Issuer.String() })
	peerSerial  = ofPeer(func(c *x509.Certificate) string { return hex.EncodeToString(c.SerialNumber.Bytes()) })
	peerSHA256  = ofPeer(func(c *x509.Certificate) string { d := sha256.Sum256(c.Raw); return hex.EncodeToString(d[:]) })
	peerSHA1    = ofPeer(func(c *x509.Certificate) string { d := sha1.Sum(c.Raw); return hex.EncodeToString(d[:]) })
	// peerPEM is percent-encoded, as in X-Forwarded-Client-Cert.
	peerPEM = ofPeer(func(c *x509.Certificate) string {
		return strings.ReplaceAll(url.QueryEscape(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))), "+", "%20")
	})
)

func joined[T any](list []T, text func(T) string) string {
	var all []string
	for _, e := range list {
		all = append(all, text(e))
	}
	return strings.Join(all, ",")
}

func notBefore(c *x509.Certificate) time.Time { return c.NotBefore }
func notAfter(c *x509.Certificate) time.Time  { return c.NotAfter }

func peerTime(get func(*x509.Certificate) time.Time) func(string) (operator, error) {
	return timeOf(func(s *Subject) time.Time {
		if s.X.Conn == nil || s.X.Conn.Peer == nil {
			return time.Time{}
		}
		return get(s.X.Conn.Peer)
	}, false)
}
