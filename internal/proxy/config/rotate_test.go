package config

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"

	"github.com/usher-mesh/usher/internal/proxy/origin"
	"github.com/usher-mesh/usher/internal/proxy/proxytest"
	"github.com/usher-mesh/usher/internal/proxy/xds"
)

// pair is a certificate with its key, as PEM.
func pair(t *testing.T) (chain, key string) {
	t.Helper()
	c, err := proxytest.NewCA(t).Source(t, "spiffe://cluster.local/ns/a/sa/b").Certificate()
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate[0]})), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

func filename(path string) *corev3.DataSource {
	return &corev3.DataSource{Specifier: &corev3.DataSource_Filename{Filename: path}}
}

func certSecret(chain, key string) *tlsv3.Secret {
	return &tlsv3.Secret{Name: "s", Type: &tlsv3.Secret_TlsCertificate{TlsCertificate: &tlsv3.TlsCertificate{CertificateChain: filename(chain), PrivateKey: filename(key)}}}
}

// TestReadSecret: files count as they are when two readings agree.
func TestReadSecret(t *testing.T) {
	ca, ka := pair(t)
	cb, kb := pair(t)
	for _, c := range []struct {
		name  string
		texts string // a, b: what chain and key are read as, in turn
		want  string // what of is in force
	}{
		{"steady", "aaaa", "a"}, {"replaced between two readings", "aabbbb", "b"}, {"half replaced", "aaabbbbb", "b"}, {"half replaced, seen twice", "abab", "an error"},
		{"half replaced, then whole", "abbbbb", "b"}, {"never steady", "aabbaabbaabb", "unsteady"},
	} {
		left := c.texts
		e, err := readSecret(certSecret("chain", "key"), func(d *corev3.DataSource) ([]byte, error) {
			if left == "" {
				return nil, errors.New("read too often")
			}
			of := left[:1]
			left = left[1:]
			return []byte(map[string]string{"achain": ca, "akey": ka, "bchain": cb, "bkey": kb}[of+d.GetFilename()]), nil
		})
		got := "an error"
		switch {
		case errors.Is(err, errUnsteady):
			got = "unsteady"
		case err == nil:
			got = "b"
			if block, _ := pem.Decode([]byte(ca)); string(block.Bytes) == string(e.cert.Certificate[0]) {
				got = "a"
			}
		}
		if got != c.want || left != "" {
			t.Errorf("%s: %s (%v), %q not read", c.name, got, err, left)
		}
	}
}

// TestRotation: files that do not go together change nothing, and are read again; what has
// not changed has no connection judged again.
func TestRotation(t *testing.T) {
	s, ls := store(t, "", 0)
	c, file := fromFile(t)
	dir := t.TempDir()
	path := func(n string) string { return filepath.Join(dir, n) }
	write := func(n, text string) {
		if err := os.WriteFile(path(n), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ca, ka := pair(t)
	cb, kb := pair(t)
	write("chain", ca)
	write("key", kb)
	socket := &tlsv3.DownstreamTlsContext{CommonTlsContext: &tlsv3.CommonTlsContext{TlsCertificateSdsSecretConfigs: []*tlsv3.SdsSecretConfig{{Name: "s", SdsConfig: c}}}}
	s.Apply(update(t, "1", &listenerv3.Listener{Name: "l", FilterChains: []*listenerv3.FilterChain{{
		TransportSocket: &corev3.TransportSocket{ConfigType: &corev3.TransportSocket_TypedConfig{TypedConfig: pack(t, socket)}}}}}))
	key := origin.Name{Source: file, Name: "s"}.Key()
	shown := func() string {
		x, err := s.Certificate(key)
		if err != nil {
			return "none"
		}
		return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: x.Certificate[0]}))
	}
	v := s.From(file)
	if r := v.Apply(update(t, "1", certSecret(path("chain"), path("key")))); r["s"] == "" || shown() != "none" || s.Rejected() != 1 {
		t.Fatalf("a pair that is none: %v", r)
	}
	if w := v.Watches(xds.SecretType); len(w) != 2 || w[0] != (xds.Watch{Path: dir, Folder: true}) {
		t.Errorf("watched: %v", w)
	}
	write("key", ka)
	if r := v.Reread(xds.SecretType); len(r) > 0 || shown() != ca || s.Rejected() != 0 {
		t.Fatalf("mended: %v", r)
	}
	before := ls.rejudged
	if v.Reread(xds.SecretType); ls.rejudged != before {
		t.Error("connections are judged again, and nothing has changed")
	}
	write("chain", cb)
	if r := v.Reread(xds.SecretType); !strings.Contains(r["s"], "private key does not match") || shown() != ca {
		t.Errorf("half a pair: %v", r)
	}
	write("key", kb)
	if r := v.Reread(xds.SecretType); len(r) > 0 || shown() != cb || ls.rejudged == before {
		t.Errorf("the other half: %v", r)
	}
	m := certSecret(path("chain"), path("key"))
	m.GetTlsCertificate().WatchedDirectory = &corev3.WatchedDirectory{Path: "/other"}
	if r := v.Apply(update(t, "2", m)); len(r) > 0 || len(v.Watches(xds.SecretType)) != 1 || v.Watches(xds.SecretType)[0] != (xds.Watch{Path: "/other", Folder: true}) {
		t.Errorf("a folder: %v, %v", r, v.Watches(xds.SecretType))
	}
	m.GetTlsCertificate().WatchedDirectory = &corev3.WatchedDirectory{}
	if r := v.Apply(update(t, "3", m)); r["s"] != "tls_certificate.watched_directory: not supported" {
		t.Errorf("no folder: %v", r)
	}
	// Who configures the proxy over the network has no file of this machine read.
	if r := s.Apply(update(t, "1", certSecret(path("chain"), path("key")))); !strings.Contains(r["s"], "must be inline") {
		t.Errorf("over ADS: %v", r)
	}
	if r := v.Apply(update(t, "4", &tlsv3.Secret{Name: "s"})); r["s"] == "" || len(v.Watches(xds.SecretType)) != 0 {
		t.Errorf("nothing: %v", r)
	}
	v.Apply(update(t, "5", certSecret(path("chain"), path("key"))))
	s.Apply(xds.Update{Type: xds.ListenerType, Removed: []string{"l"}})
	if len(s.secrets)+len(s.rotating) > 0 {
		t.Error("a secret stays that nothing names")
	}
}
