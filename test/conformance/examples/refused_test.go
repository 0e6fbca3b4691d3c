package examples

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/usher-mesh/usher/test/harness"
)

// TestRefused: what Envoy does not start from, usher-proxy does not either, and names the
// place.
func TestRefused(t *testing.T) {
	envoy, usher := harness.Envoy(t), harness.Bin(t, "usher-proxy")
	for _, c := range []struct{ name, file, old, new, want string }{
		{"no such secret", "static_secrets", "- name: client_cert\n  ", "- name: other\n  ", "tls_certificate_sds_secret_configs[0]"},
		{"a secret twice", "static_secrets", "- name: client_cert\n    tls", "- name: server_cert\n    tls", "secrets[1].name"},
		{"no such file", "static_secrets", "$DIR/front.key", "$DIR/none.key", "secrets[0].tls_certificate.private_key"},
		{"no control plane", "dynamic_ads", "cluster_name: xds_cluster\n  cds", "cluster_name: other\n  cds", "static_resources.clusters"},
		{"a layer twice", "edge", "layers:\n", "layers:\n  - name: static_layer_0\n    static_layer: {}\n", "layered_runtime.layers[1].name"},
		{"no such cluster", "jwt", "cluster: service\n", "cluster: nope\n", `static_resources.listeners[0]: its routes lead to the cluster "nope"`},
		{"no source of endpoints", "jwt", serviceByDNS, "    type: EDS\n", "static_resources.clusters[0].eds_cluster_config"},
		{"no keys", "jwt", keysOfTwo, "", "providers[provider2].jwks_source_specifier"},
		{"a time below zero", "jwt", "cluster: service\n", "cluster: service\n                  timeout: -1s\n", "routes[0].route.timeout"},
		{"no prefix of statistics", "jwt", "stat_prefix: ingress_http", "stat_prefix: \"\"", "filters[0].typed_config.stat_prefix"},
		{"an address twice", "front_proxy", "port_value: $SIDE1\n", "port_value: $SIDE2\n", "static_resources.listeners[3].address"},
		{"no secret's file", "double_proxy", "$DIR/ca.pem", "$DIR/none.pem", "trusted_ca"},
	} {
		t.Run(c.name, func(t *testing.T) {
			text, err := os.ReadFile(filepath.Join("testdata", c.file+".yaml"))
			if err != nil {
				t.Fatal(err)
			}
			changed := strings.Replace(string(text), c.old, c.new, 1)
			if changed == string(text) {
				t.Fatal("the case changes nothing")
			}
			dir := t.TempDir()
			files(t, dir)
			file := filepath.Join(dir, "envoy.yaml")
			ports := map[string]int{}
			out := placeholder.ReplaceAllStringFunc(changed, func(name string) string {
				if name == "$DIR" {
					return dir
				}
				if ports[name] == 0 {
					ports[name] = 1200 + len(ports)
				}
				return strconv.Itoa(ports[name])
			})
			if err := os.WriteFile(file, []byte(out), 0o600); err != nil {
				t.Fatal(err)
			}
			if b, err := exec.Command(envoy, "-c", file, "--mode", "validate", "-l", "error").CombinedOutput(); err == nil {
				t.Errorf("Envoy takes it: %s", b)
			}
			if b, err := exec.Command(usher, "-c", file, "--mode", "validate").CombinedOutput(); err == nil || !strings.Contains(string(b), c.want) {
				t.Errorf("%v: %s", err, b)
			}
		})
	}
}

// Parts of the example with tokens.
const (
	serviceByDNS = `    type: STRICT_DNS
    dns_lookup_family: V4_ONLY
    lb_policy: ROUND_ROBIN
    load_assignment:
      cluster_name: service
      endpoints:
      - lb_endpoints:
        - endpoint:
            address:
              socket_address:
                address: localhost
                port_value: $SERVICE1
`
	keysOfTwo = `                  forward_payload_header: x-payload
                  remote_jwks:
                    http_uri:
                      uri: http://keys.example.com/jwks.json
                      cluster: keys
                      timeout: 1s
`
)
