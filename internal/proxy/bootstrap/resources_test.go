package bootstrap

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

const resources = `
version_info: "7"
nonce: n
resources:
- "@type": type.googleapis.com/envoy.config.cluster.v3.Cluster
  name: a
  connect_timeout: 1s
`

// TestResources: all forms that Envoy reads say the same.
func TestResources(t *testing.T) {
	one, err := anypb.New(&clusterv3.Cluster{Name: "a"})
	if err != nil {
		t.Fatal(err)
	}
	want := &discoveryv3.DiscoveryResponse{VersionInfo: "7", Resources: []*anypb.Any{one}}
	raw, err := proto.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, text := range map[string]string{
		"a.yaml": strings.NewReplacer("  connect_timeout: 1s\n", "", "nonce: n\n", "").Replace(resources),
		"a.json": `{"versionInfo": "7", "resources": [{"@type": "type.googleapis.com/envoy.config.cluster.v3.Cluster", "name": "a"}]}`,
		"a.pb":   string(raw), "a.pb_text": prototext.Format(want),
	} {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := Resources(file); err != nil || !proto.Equal(got, want) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	for text, want := range map[string]string{
		"":             "the file is empty",
		"resources: {": "yaml: line 1",
		"resource_errors: [{resource_name: {name: a}}]":                            "resource_errors: not supported",
		strings.Replace(resources, "nonce", "none", 1):                             "none: unknown field (of envoy.service.discovery.v3.DiscoveryResponse)",
		strings.Replace(resources, "name: a", "names: a", 1):                       "resources[0].names: unknown field (of envoy.config.cluster.v3.Cluster)",
		strings.Replace(resources, "1s", "soon", 1):                                "resources[0].connect_timeout: invalid google.protobuf.Duration",
		strings.Replace(resources, "cluster.v3.Cluster", "cluster.v3.Cloister", 1): `resources[0].@type: "type.googleapis.com/envoy.config.cluster.v3.Cloister" is not a type`,
	} {
		file := filepath.Join(dir, "bad.yaml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Resources(file); err == nil || !strings.HasPrefix(err.Error(), file+": "+want) {
			t.Errorf("%q: %v", text, err)
		}
	}
	file := filepath.Join(dir, "big")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(file, maxFile+1); err != nil {
		t.Fatal(err)
	}
	if _, err := Resources(file); err == nil || !strings.Contains(err.Error(), "bigger than") {
		t.Error(err)
	}
}

func FuzzResources(f *testing.F) {
	f.Add(".yaml", []byte(resources))
	f.Add(".pb", []byte("\x0a\x017"))
	f.Add(".pb_text", []byte(`version_info: "7"`))
	f.Fuzz(func(t *testing.T, ext string, text []byte) {
		if r, err := parseResources(ext, text); err == nil && r == nil {
			t.Fatal("nothing, and no error")
		}
	})
}

// TestErrorsShowNoKeys: what stands in the wrong place may be a private key.
func TestErrorsShowNoKeys(t *testing.T) {
	const secret = "S3CR3T"
	with := func(key string) string {
		return `{resources: [{"@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret, name: s, tls_certificate: {private_key: ` + key + `}}]}`
	}
	for _, c := range []struct{ ext, text, want string }{
		{".yaml", with(`{inline_bytes: "` + secret + `!"}`), "resources[0].tls_certificate.private_key.inline_bytes: not base64"},
		{".yaml", with(secret), "resources[0].tls_certificate.private_key: not what is wanted here"},
		{".yaml", with("[" + secret + "]"), "resources[0].tls_certificate.private_key: not what is wanted here"},
		{".yaml", with(`{inline_string: [` + secret + `]}`), "resources[0].tls_certificate.private_key.inline_string: invalid value for string field"},
		{".yaml", with(`{inline_string: {a: ` + secret + `}}`), "resources[0].tls_certificate.private_key.inline_string: invalid value for string field"},
		{".yaml", "resources: [" + secret, ""},
		{".yaml", secret, ""},
		{".pb_text", `resources { [type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret] { tls_certificate { private_key { inline_string: ` + secret + ` } } } }`, "not a DiscoveryResponse as text (line 1:"},
		{".pb_text", secret, "not a DiscoveryResponse as text (line 1:"},
	} {
		_, err := parseResources(c.ext, []byte(c.text))
		if err == nil || strings.Contains(err.Error(), secret) || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%s: %v", c.text, err)
		}
	}
}
