package tls

import (
	"crypto/tls"
	"slices"
	"strings"
	"testing"

	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"

	"github.com/usher-mesh/usher/internal/proxy/proxytest"
)

func TestParameters(t *testing.T) {
	const rsaGCM, ecdsaGCM = tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384
	for _, tt := range []struct {
		text    string
		suites  []uint16
		groups  []tls.CurveID
		refused string
	}{
		{text: "{}"},
		{text: "{cipher_suites: [''], ecdh_curves: ['']}"},
		{text: "{cipher_suites: [ECDHE-RSA-AES128-GCM-SHA256, TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384]}", suites: []uint16{rsaGCM, ecdsaGCM}},
		{text: "{cipher_suites: ['ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384']}", suites: []uint16{rsaGCM, ecdsaGCM}},
		{text: "{ecdh_curves: ['X25519MLKEM768:P-256', secp384r1]}", groups: []tls.CurveID{tls.X25519MLKEM768, tls.CurveP256, tls.CurveP384}},
		{text: "{cipher_suites: [AES128-SHA, '[ECDHE-RSA-AES128-SHA|AES256-SHA]']}", refused: `cipher_suites[1]: "[ECDHE-RSA-AES128-SHA|AES256-SHA]": not supported; there are AES128-GCM-SHA256, AES128-SHA, AES256`},
		{text: "{cipher_suites: ['AES128-SHA:']}", refused: `cipher_suites[0]: "": not supported`},
		{text: "{cipher_suites: [ALL]}", refused: `cipher_suites[0]: "ALL": not supported`},
		{text: "{cipher_suites: ['!AES128-SHA']}", refused: `cipher_suites[0]: "!AES128-SHA": not supported`},
		{text: "{cipher_suites: [TLS_AES_128_GCM_SHA256]}", refused: `cipher_suites[0]: "TLS_AES_128_GCM_SHA256": not supported`},
		{text: "{cipher_suites: [DES-CBC3-SHA]}", refused: `cipher_suites[0]: "DES-CBC3-SHA": not supported`},
		{text: "{cipher_suites: [TLS_RSA_WITH_RC4_128_SHA]}", refused: `cipher_suites[0]: "TLS_RSA_WITH_RC4_128_SHA": not supported`},
		{text: "{ecdh_curves: [X25519, MLKEM1024]}", refused: `ecdh_curves[1]: "MLKEM1024": not supported; there are P-256, P-384, P-521, X25519, X25519MLKEM768`},
		{text: "{signature_algorithms: [a]}", refused: "signature_algorithms: not supported"},
	} {
		p, err := compileParameters(proxytest.Decode(t, tt.text, new(tlsv3.TlsParameters)))
		switch {
		case tt.refused != "" && (err == nil || !strings.HasPrefix(err.Error(), tt.refused)):
			t.Errorf("%s: %v, want %s", tt.text, err, tt.refused)
		case tt.refused == "" && (err != nil || !slices.Equal(p.suites, tt.suites) || !slices.Equal(p.groups, tt.groups)):
			t.Errorf("%s: %x, %v, %v", tt.text, p.suites, p.groups, err)
		}
		if c := (&common{parameters: p}).base(); !slices.Equal(c.CipherSuites, p.suites) || !slices.Equal(c.CurvePreferences, p.groups) || c.MinVersion < tls.VersionTLS12 && err == nil {
			t.Errorf("%s: a handshake has %x, %v, %x", tt.text, c.CipherSuites, c.CurvePreferences, c.MinVersion)
		}
	}
}
