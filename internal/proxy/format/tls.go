package format

import (
	"crypto/tls"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
)

func tlsVersion(version uint16) string {
	switch version {
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

func tlsCipher(cipher uint16) string {
	if cipher == 0 {
		return ""
	}
	if n := ciphers[cipher]; n != "" {
		return n
	}
	return tls.CipherSuiteName(cipher)
}

// groups are BoringSSL's names of key exchanges.
var groups = map[tls.CurveID]string{
	tls.X25519: "X25519", tls.CurveP256: "P-256", tls.CurveP384: "P-384", tls.CurveP521: "P-521", tls.X25519MLKEM768: "X25519MLKEM768",
}

func tlsGroup(group tls.CurveID) string { return groups[group] }

// upstreamState is that of the handshake with the endpoint, nil in clear.
func upstreamState(s *Subject) *tls.ConnectionState {
	if s.X.Upstream == nil || s.X.Upstream.TLS == nil {
		return nil
	}
	state := s.X.Upstream.TLS.ConnectionState()
	return &state
}

// ofUpstream asks the handshake with the endpoint.
func ofUpstream(get func(*tls.ConnectionState) string) operator {
	return textOf(func(s *Subject) string {
		state := upstreamState(s)
		if state == nil {
			return ""
		}
		return get(state)
	})
}

func downstreamVersion(c *exchange.Conn) string     { return tlsVersion(c.Version) }
func downstreamCipher(c *exchange.Conn) string      { return tlsCipher(c.Cipher) }
func downstreamGroup(c *exchange.Conn) string       { return tlsGroup(c.Group) }
func upstreamVersion(s *tls.ConnectionState) string { return tlsVersion(s.Version) }
func upstreamCipher(s *tls.ConnectionState) string  { return tlsCipher(s.CipherSuite) }
func upstreamGroup(s *tls.ConnectionState) string   { return tlsGroup(s.CurveID) }
