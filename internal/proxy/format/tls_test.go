package format

import (
	"crypto/tls"
	"testing"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
)

type secured tls.ConnectionState

func (s secured) ConnectionState() tls.ConnectionState { return tls.ConnectionState(s) }

// TestAgreed: what each of the two handshakes has come to, by Envoy's names.
func TestAgreed(t *testing.T) {
	f, err := Text("%DOWNSTREAM_TLS_VERSION% %DOWNSTREAM_TLS_CIPHER% %DOWNSTREAM_TLS_GROUP% %UPSTREAM_TLS_VERSION% %UPSTREAM_TLS_CIPHER% %UPSTREAM_TLS_GROUP%", false)
	if err != nil {
		t.Fatal(err)
	}
	x := request()
	x.Conn.Version, x.Conn.Cipher, x.Conn.Group = tls.VersionTLS12, tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.CurveP256
	x.Upstream = &exchange.UpstreamConn{TLS: secured{Version: tls.VersionTLS13, CipherSuite: tls.TLS_AES_256_GCM_SHA384, CurveID: tls.X25519MLKEM768}}
	if got, want := string(f.Append(nil, &Subject{X: x})), "TLSv1.2 ECDHE-ECDSA-CHACHA20-POLY1305 P-256 TLSv1.3 TLS_AES_256_GCM_SHA384 X25519MLKEM768"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	x.Conn, x.Upstream = new(exchange.Conn), new(exchange.UpstreamConn)
	if got := string(f.Append(nil, &Subject{X: x})); got != "- - - - - -" {
		t.Errorf("in clear: %s", got)
	}
}
