package bootstrap

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"

	"github.com/usher-mesh/usher/internal/proxy/bootstrap/sidecar"
)

// demo is the first configuration of Envoy's documentation, less its remote host.
const demo = `
admin:
  address:
    socket_address: {protocol: TCP, address: 127.0.0.1, port_value: 9901}
static_resources:
  listeners:
  - name: listener_0
    address:
      socket_address: {protocol: TCP, address: 127.0.0.1, port_value: 10000}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: ingress_http
          route_config:
            name: local_route
            virtual_hosts:
            - name: local_service
              domains: ["*"]
              routes:
              - match: {prefix: "/"}
                route: {host_rewrite_literal: www.example.com, cluster: service}
          http_filters:
          - name: envoy.filters.http.router
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
  clusters:
  - name: service
    connect_timeout: 30s
    type: LOGICAL_DNS
    dns_lookup_family: V4_ONLY
    load_assignment:
      cluster_name: service
      endpoints:
      - lb_endpoints:
        - endpoint:
            address:
              socket_address: {address: localhost, port_value: 443}
`

func params() sidecar.Params {
	return sidecar.Params{
		Namespace: "tutorial", Name: "customer-v1", Service: "customer", ServiceAccount: "default",
		Labels: map[string]string{"app": "customer"}, Address: "127.1.2.3", Outbound: "127.1.2.3:15001",
		Inbound: []sidecar.Inbound{{Name: "http", Protocol: "http", Port: 8080, Listen: "127.1.2.3:8080", App: "127.0.0.1:34567"}},
		Admin:   "127.1.2.3:15020", XDS: "127.0.0.1:15012", CA: "127.0.0.1:15013", Mirror: "127.0.0.1:15014",
		Local: sidecar.Local{TokenFile: "/w/token", Credential: "secret", CacheDir: "/w/cache"},
	}
}

func TestNew(t *testing.T) {
	b, err := New(params())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, got, want string }{
		{"id", b.GetNode().GetId(), "sidecar~127.1.2.3~customer-v1.tutorial~tutorial.svc.cluster.local"},
		{"xds", XDS(b), "127.0.0.1:15012"},
		{"admin", Admin(b), "127.1.2.3:15020"},
		{"ca", Local(b).CA, "127.0.0.1:15013"},
		{"identity", Local(b).Identity, "spiffe://cluster.local/ns/tutorial/sa/default"},
		{"credential", Local(b).Credential, "secret"},
		{"source", Source(b).String(), netip.MustParseAddr("127.1.2.3").String()},
		{"clusters", b.GetStaticResources().GetClusters()[1].GetName(), sidecar.MirrorCluster},
	} {
		if c.got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, c.got, c.want)
		}
	}
	if strings.Contains(b.GetNode().String(), "secret") {
		t.Error("the credential would be told to the control plane")
	}
}

func TestParse(t *testing.T) {
	if b, err := Parse([]byte(demo)); err != nil || len(b.GetStaticResources().GetListeners()) != 1 {
		t.Fatalf("Envoy's demo: %v", err)
	}
	for _, c := range []struct{ name, old, new, want string }{
		{"unknown field", "stat_prefix:", "stat_prefixx:", "static_resources.listeners[0].filter_chains[0].filters[0].typed_config.stat_prefixx: unknown field"},
		{"unknown field of the top", "admin:", "admins:", "admins: unknown field (of envoy.config.bootstrap.v3.Bootstrap)"},
		{"unsupported field", "admin:", "flags_path: /x\nadmin:", "flags_path: not supported"},
		{"enum", "V4_ONLY", "V5_ONLY", `static_resources.clusters[0].dns_lookup_family: invalid value for enum field dnsLookupFamily: "V5_ONLY"`},
		{"duration", "30s", "thirty", `static_resources.clusters[0].connect_timeout: invalid google.protobuf.Duration value "thirty"`},
		{"number", "port_value: 10000", "port_value: ten", `static_resources.listeners[0].address.socket_address.port_value: invalid value for uint32 field portValue: "ten"`},
		{"type", "router.v3.Router", "router.v3.Rooter", `http_filters[0].typed_config.@type: "type.googleapis.com/envoy.extensions.filters.http.router.v3.Rooter" is not a type that usher-proxy knows`},
		{"admin port", "port_value: 9901", "port_value: 99010", "admin.address.socket_address.port_value: 99010 is not a port"},
		{"admin for other machines", "address: 127.0.0.1, port_value: 9901", "address: 0.0.0.0, port_value: 9901", "admin.address.socket_address.address: 0.0.0.0 is not an address of loopback, and anybody who reaches it could ask: take 127.0.0.1 or a Unix socket (pipe)"},
		{"admin for other users", "socket_address: {protocol: TCP, address: 127.0.0.1, port_value: 9901}", "pipe: {path: /a, mode: 438}", "admin.address.pipe.mode: 0666"},
		{"admin that anybody finds", "socket_address: {protocol: TCP, address: 127.0.0.1, port_value: 9901}", `pipe: {path: "@a"}`, "admin.address.pipe.path"},
		{"admin log", "admin:\n", "admin:\n  access_log_path: /dev/null\n", "admin.access_log_path: not supported"},
		{"admin paths", "admin:\n", "admin:\n  allow_paths: [{exact: /ready}, {safe_regex: {regex: '['}}]\n", "admin.allow_paths[1]"},
		{"repeated key", "admin:\n", "admin: {}\nadmin:\n", `mapping key "admin" already defined`},
		{"dynamic", "admin:", "dynamic_resources: {lds_config: {ads: {}}}\nadmin:", "dynamic_resources.ads_config: missing"},
		{"an older protocol", "admin:", "dynamic_resources: {ads_config: {api_type: GRPC, transport_api_version: V2}}\nadmin:", "dynamic_resources.ads_config.transport_api_version: V2"},
		{"an older version", "admin:", "dynamic_resources: {cds_config: {path: /x, resource_api_version: V2}}\nadmin:", "dynamic_resources.cds_config.resource_api_version: V2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := strings.Replace(demo, c.old, c.new, 1)
			if text == demo {
				t.Fatal("the case changes nothing")
			}
			_, err := Parse([]byte(text))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v\nwant %s", err, c.want)
			}
		})
	}
	if _, err := Parse(nil); err == nil {
		t.Error("an empty file is taken")
	}
}

func TestLoadNamesFile(t *testing.T) {
	p := filepath.Join(t.TempDir(), "b.yaml")
	if err := os.WriteFile(p, []byte("nope: 1"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(p); err == nil || !strings.HasPrefix(err.Error(), p+": nope: unknown field") {
		t.Error(err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(demo))
	js, err := sidecar.File(params())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(js)
	f.Add([]byte("static_resources: {clusters: [{name: a, type: 7}]}"))
	f.Fuzz(func(t *testing.T, text []byte) {
		b, err := Parse(text)
		if (b == nil) == (err == nil) {
			t.Fatalf("%v %v", b, err)
		}
		if b != nil {
			// What was taken can be asked for without a panic.
			_, _, _, _ = XDS(b), Admin(b), Source(b), Local(b)
		}
	})
}
