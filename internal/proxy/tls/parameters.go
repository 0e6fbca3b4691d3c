package tls

import (
	"crypto/tls"
	"maps"
	"slices"
	"strings"

	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"

	"github.com/usher-mesh/usher/internal/proxy/strict"
)

// parameters are what TlsParameters say of a handshake. Lists that are empty are
// crypto/tls's own; in which order those of a list are preferred is so, too.
type parameters struct {
	min, max uint16
	suites   []uint16 // of TLS 1.2; those of 1.3 are not for anybody to choose
	groups   []tls.CurveID
}

// suites are the cipher suites of TLS 1.2 that BoringSSL and crypto/tls both have, by the
// names that OpenSSL gives them. 3DES, which both have, too, is left out: its blocks are too
// short for the length of today's connections (CVE-2016-2183).
var suites = map[string]uint16{
	"ECDHE-ECDSA-AES128-GCM-SHA256": tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
	"ECDHE-RSA-AES128-GCM-SHA256":   tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
	"ECDHE-ECDSA-AES256-GCM-SHA384": tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
	"ECDHE-RSA-AES256-GCM-SHA384":   tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
	"ECDHE-ECDSA-CHACHA20-POLY1305": tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
	"ECDHE-RSA-CHACHA20-POLY1305":   tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
	"ECDHE-ECDSA-AES128-SHA256":     tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256,
	"ECDHE-RSA-AES128-SHA256":       tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256,
	"ECDHE-ECDSA-AES128-SHA":        tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA,
	"ECDHE-RSA-AES128-SHA":          tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA,
	"ECDHE-ECDSA-AES256-SHA":        tls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA,
	"ECDHE-RSA-AES256-SHA":          tls.TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA,
	"AES128-GCM-SHA256":             tls.TLS_RSA_WITH_AES_128_GCM_SHA256,
	"AES256-GCM-SHA384":             tls.TLS_RSA_WITH_AES_256_GCM_SHA384,
	"AES128-SHA":                    tls.TLS_RSA_WITH_AES_128_CBC_SHA,
	"AES256-SHA":                    tls.TLS_RSA_WITH_AES_256_CBC_SHA,
}

// groups are those that both have, by the names that BoringSSL gives them.
var groups = map[string]tls.CurveID{
	"X25519MLKEM768": tls.X25519MLKEM768, "X25519": tls.X25519, "P-256": tls.CurveP256, "P-384": tls.CurveP384, "P-521": tls.CurveP521,
}

// oldGroups are further names of theirs.
var oldGroups = map[string]string{"x25519": "X25519", "prime256v1": "P-256", "secp384r1": "P-384", "secp521r1": "P-521"}

func compileParameters(m *tlsv3.TlsParameters) (parameters, error) {
	p := parameters{min: tls.VersionTLS12, max: tls.VersionTLS13}
	if m == nil {
		return p, nil
	}
	err := strict.Only(m, "tls_minimum_protocol_version", "tls_maximum_protocol_version", "cipher_suites", "ecdh_curves")
	if err == nil {
		err = p.versions(m)
	}
	if err == nil {
		p.suites, err = named("cipher_suites", m.GetCipherSuites(), suites, suiteOf)
	}
	if err == nil {
		p.groups, err = named("ecdh_curves", m.GetEcdhCurves(), groups, groupOf)
	}
	return p, err
}

func (p *parameters) versions(m *tlsv3.TlsParameters) error {
	switch m.GetTlsMinimumProtocolVersion() {
	case tlsv3.TlsParameters_TLS_AUTO, tlsv3.TlsParameters_TLSv1_2:
	case tlsv3.TlsParameters_TLSv1_3:
		p.min = tls.VersionTLS13
	default:
		return strict.Errorf("tls_minimum_protocol_version", "below TLS 1.2: %w", strict.ErrUnsupported)
	}
	switch m.GetTlsMaximumProtocolVersion() {
	case tlsv3.TlsParameters_TLS_AUTO, tlsv3.TlsParameters_TLSv1_3:
	case tlsv3.TlsParameters_TLSv1_2:
		p.max = tls.VersionTLS12
	default:
		return strict.Errorf("tls_maximum_protocol_version", "below TLS 1.2: %w", strict.ErrUnsupported)
	}
	if p.min > p.max {
		return strict.Errorf("tls_maximum_protocol_version", "below the minimum")
	}
	return nil
}

// suiteOf knows a suite by the name of its standard.
func suiteOf(name string) (uint16, bool) {
	for _, id := range suites {
		if tls.CipherSuiteName(id) == name {
			return id, true
		}
	}
	return 0, false
}

func groupOf(name string) (id tls.CurveID, ok bool) {
	id, ok = groups[oldGroups[name]]
	return id, ok
}

// named reads a list of names, of which one may hold several by colons. Other of OpenSSL's
// expressions, such as groups of equal preference, are refused.
func named[T any](field string, list []string, known map[string]T, other func(string) (T, bool)) (out []T, err error) {
	if strings.Join(list, "") == "" {
		return nil, nil
	}
	for i, names := range list {
		for name := range strings.SplitSeq(names, ":") {
			id, ok := known[name]
			if !ok {
				id, ok = other(name)
			}
			if !ok {
				return nil, strict.AtIndex(field, i, strict.Errorf("", "%q: %w; there are %s", name, strict.ErrUnsupported, strings.Join(slices.Sorted(maps.Keys(known)), ", ")))
			}
			out = append(out, id)
		}
	}
	return out, nil
}
