package format

import (
	"crypto/tls"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
	proxytls "github.com/usher-mesh/usher/internal/proxy/tls"
)

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

func downstreamVersion(c *exchange.Conn) string     { return proxytls.VersionName(c.Version) }
func downstreamCipher(c *exchange.Conn) string      { return proxytls.CipherName(c.Cipher) }
func downstreamGroup(c *exchange.Conn) string       { return proxytls.GroupName(c.Group) }
func upstreamVersion(s *tls.ConnectionState) string { return proxytls.VersionName(s.Version) }
func upstreamCipher(s *tls.ConnectionState) string  { return proxytls.CipherName(s.CipherSuite) }
func upstreamGroup(s *tls.ConnectionState) string   { return proxytls.GroupName(s.CurveID) }
