package tls

import "crypto/tls"

// What a handshake has come to, by the names that Envoy's logs give it: "" for nothing.
var (
	suiteNames = reversed(suites)
	groupNames = reversed(groups)
)

// CipherName is OpenSSL's name of a cipher suite, which is the standard's for those of TLS 1.3.
func CipherName(id uint16) string {
	if n := suiteNames[id]; n != "" || id == 0 {
		return n
	}
	return tls.CipherSuiteName(id)
}

// GroupName is BoringSSL's name of a key exchange.
func GroupName(id tls.CurveID) string { return groupNames[id] }

// VersionName is OpenSSL's name of a version that is spoken here.
func VersionName(id uint16) string {
	switch id {
	case tls.VersionTLS12:
		return "TLSv1.2"
	case tls.VersionTLS13:
		return "TLSv1.3"
	}
	return ""
}

func reversed[T comparable](names map[string]T) map[T]string {
	out := make(map[T]string, len(names))
	for name, id := range names {
		out[id] = name
	}
	return out
}
