package discovery

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/usher-mesh/usher/test/conformance/beside"
	"github.com/usher-mesh/usher/test/harness"
)

// from is a source that is the cluster "cp".
func from(variant, more string) string {
	return fmt.Sprintf("{resource_api_version: V3%s, api_config_source: {api_type: %s, transport_api_version: V3, set_node_on_first_message_only: true, grpc_services: [{envoy_grpc: {cluster_name: cp}}]}}", more, variant)
}

func (w *world) listener(port, socket, routes string) string {
	return fmt.Sprintf(`resources:
- "@type": %s
  name: test
  address: {socket_address: {address: 127.0.0.1, port_value: %d}}
  filter_chains: [{%sfilters: [{name: hcm, typed_config: {"@type": %sfilters.network.http_connection_manager.v3.HttpConnectionManager, stat_prefix: s, %s,
    http_filters: [{name: router, typed_config: {"@type": %sfilters.http.router.v3.Router}}]}}]}]
`, ldsType, w.ports[port], socket, beside.Types, routes, beside.Types)
}

func forward(name string) string {
	return fmt.Sprintf("resources: [{\"@type\": %s, name: %s, virtual_hosts: [{name: all, domains: ['*'], routes: [{match: {prefix: /}, route: {cluster: up}}]}]}]", rdsType, name)
}

func inlineCert(t *testing.T, c, key tls.Certificate) string {
	return sds("default", fmt.Sprintf("tls_certificate: {certificate_chain: {inline_string: %q}, private_key: {inline_string: %q}}", chainPEM(c), keyPEM(t, key)))
}

// TestServers: every type may come from a server by a stream of its own, in both variants,
// and beside ADS, as the sandbox of Envoy with a control plane has its routes; what is bad is refused with the version, and what was in force stays. A
// secret that is named as the mesh names the proxy's own is the server's.
func TestServers(t *testing.T) {
	ca := harness.ForeignCA(t)
	a, b := harness.IssueServer(t, ca, "a.test"), harness.IssueServer(t, ca, "b.test")
	one, two := answering(t, "one"), answering(t, "two")
	for _, c := range []struct {
		name, variant string
		lists         object
	}{
		{"world", "GRPC", nil}, {"delta", "DELTA_GRPC", nil},
		{"world beside ADS", "GRPC", object{"ads": object{}}}, {"delta beside ADS", "DELTA_GRPC", object{"ads": object{}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var methods [2][]string
			var counts, dumps [2]string
			for i, p := range beside.Programs(t) {
				s := newServer()
				w := &world{t: t, ports: map[string]int{"TEST": harness.FreePorts(t, 1)[0]}, ask: func(w *world) string { return handshake()(w) }}
				w.ports["ADMIN"] = harness.FreePorts(t, 1)[0]
				source := object{}
				beside.Read(t, from(c.variant, ""), &source)
				dynamic := object{"cds_config": source, "lds_config": source}
				if c.lists != nil {
					dynamic = object{"cds_config": c.lists, "lds_config": c.lists, "ads_config": source["api_config_source"]}
				}
				socket := fmt.Sprintf("transport_socket: {name: tls, typed_config: {\"@type\": %sDownstreamTlsContext, common_tls_context: {tls_certificate_sds_secret_configs: [{name: default, sds_config: %s}]}}}, ", tlsTypes, from(c.variant, ""))
				s.set(t, clusterType, "1", fmt.Sprintf("resources: [{\"@type\": %s, name: up, type: EDS, eds_cluster_config: {service_name: svc, eds_config: %s}}]", clusterType, from(c.variant, "")))
				s.set(t, edsType, "1", eds("svc", one))
				s.set(t, ldsType, "1", w.listener("TEST", socket, fmt.Sprintf("rds: {route_config_name: r, config_source: %s}", from(c.variant, ""))))
				s.set(t, rdsType, "1", forward("r"))
				s.set(t, secretType, "1", inlineCert(t, a, a))
				boot := beside.Bootstrap(w.ports["ADMIN"], nil, list{beside.Cluster("cp", s.serve(t), true)})
				boot["dynamic_resources"] = dynamic
				stop := beside.Start(t, []int{w.ports["TEST"]}, boot, p)
				said := func(what string) string { return fmt.Sprint("Envoy ", p.Envoy, ": ", what) }
				w.until(s, said("first"), "200 [a.test] one", "Secret", `"1" taken, "" refused`)
				w.until(s, said("routes"), "200 [a.test] one", "RouteConfiguration", `"1" taken, "" refused`)
				s.set(t, edsType, "2", eds("svc", two))
				w.until(s, said("endpoints"), "200 [a.test] two", "ClusterLoadAssignment", `"2" taken, "" refused`)
				s.set(t, rdsType, "3", rds("r", 600))
				w.until(s, said("a bad route"), "200 [a.test] two", "RouteConfiguration", `"1" taken, "3" refused`)
				s.set(t, rdsType, "4", rds("r", 299))
				w.until(s, said("a good one"), "299 [a.test]", "RouteConfiguration", `"4" taken, "3" refused`)
				s.set(t, secretType, "5", inlineCert(t, b, b))
				w.until(s, said("another certificate"), "299 [b.test]", "Secret", `"5" taken, "" refused`)
				dumps[i] = w.dump()
				s.set(t, secretType, "6", inlineCert(t, a, b))
				w.until(s, said("half a pair"), "299 [b.test]", "Secret", `"5" taken, "6" refused`)
				counts[i] = w.counts()
				if strings.HasPrefix(c.variant, "DELTA") { // Envoy counts an attempt more than it makes
					counts[i] = regexp.MustCompile("\n.*sds.*update_attempt.*").ReplaceAllString(counts[i], "")
				}
				s.set(t, clusterType, "7", "resources: []")
				w.until(s, said("no cluster"), "299 [b.test]", "Cluster", `"7" taken, "" refused`)
				s.set(t, ldsType, "8", "resources: []")
				w.until(s, said("no listener"), "refused", "Listener", `"8" taken, "" refused`)
				stop()
				methods[i] = slices.Sorted(maps.Keys(s.methods))
			}
			if dumps[0] != dumps[1] {
				t.Errorf("Envoy shows%s\nusher%s", dumps[0], dumps[1])
			}
			if counts[0] != counts[1] {
				t.Errorf("Envoy counts%s\nusher%s", counts[0], counts[1])
			}
			if !slices.Equal(methods[0], methods[1]) {
				t.Errorf("Envoy calls\n%s\nusher\n%s", strings.Join(methods[0], "\n"), strings.Join(methods[1], "\n"))
			}
		})
	}
}

// TestFetchTimeout: a listener waits for a server's word of its routes for a time, and then
// answers as one that has none, until they come.
func TestFetchTimeout(t *testing.T) {
	var counts []string
	for _, p := range beside.Programs(t) {
		s := newServer()
		w := &world{t: t, ports: map[string]int{"TEST": harness.FreePorts(t, 1)[0], "ADMIN": harness.FreePorts(t, 1)[0]}}
		w.ask = func(w *world) string { return w.status("TEST") }
		source := object{}
		beside.Read(t, from("GRPC", ", initial_fetch_timeout: 0.1s"), &source)
		stop := beside.Start(t, []int{w.ports["TEST"]}, beside.Bootstrap(w.ports["ADMIN"],
			list{beside.Listener("test", w.ports["TEST"], manager("r", source))}, list{beside.Cluster("cp", s.serve(t), true)}), p)
		w.until(s, "nothing comes", "404 ", "RouteConfiguration", `"" taken, "" refused`)
		counts = append(counts, w.counts())
		s.set(t, rdsType, "1", rds("r", 299))
		w.until(s, "routes come", "299 ", "RouteConfiguration", `"1" taken, "" refused`)
		stop()
	}
	if counts[0] != counts[1] || !strings.Contains(counts[0], "init_fetch_timeout") {
		t.Errorf("Envoy counts%s\nusher%s", counts[0], counts[1])
	}
}

// dump gives what is shown of dynamic resources: where, by which name, of which version.
func (w *world) dump() string {
	w.t.Helper()
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	rs, err := c.Get(fmt.Sprintf("http://127.0.0.1:%d/config_dump?include_eds", w.ports["ADMIN"]))
	if err != nil {
		w.t.Fatal(err)
	}
	defer rs.Body.Close()
	var all struct{ Configs []map[string]json.RawMessage }
	if err := json.NewDecoder(rs.Body).Decode(&all); err != nil {
		w.t.Fatal(err)
	}
	type named struct {
		Name        string
		ClusterName string `json:"cluster_name"`
	}
	var out []string
	for _, c := range all.Configs {
		for section, text := range c {
			if !strings.HasPrefix(section, "dynamic_") {
				continue
			}
			var list []struct {
				Name        string
				VersionInfo string `json:"version_info"`
				Cluster     named
				Endpoint    named `json:"endpoint_config"`
				Route       named `json:"route_config"`
				Active      struct {
					VersionInfo string `json:"version_info"`
				} `json:"active_state"`
			}
			if err := json.Unmarshal(text, &list); err != nil {
				w.t.Fatal(err)
			}
			for _, e := range list {
				if e.Endpoint.ClusterName != "" {
					e.VersionInfo = "" // Envoy does not tell it
				}
				out = append(out, fmt.Sprintf("\n%s %s %s", section, e.Name+e.Cluster.Name+e.Endpoint.ClusterName+e.Route.Name, e.VersionInfo+e.Active.VersionInfo))
			}
		}
	}
	slices.Sort(out)
	return strings.Join(out, "")
}

// TestNoServer: a source's server must be a cluster of the bootstrap.
func TestNoServer(t *testing.T) {
	source := object{}
	beside.Read(t, from("GRPC", ""), &source)
	up := object{"name": "up", "type": "EDS", "eds_cluster_config": object{"eds_config": source}}
	for name, b := range map[string]object{
		"static_resources.clusters[0]": {"static_resources": object{"clusters": list{up}}},
		"dynamic_resources.lds_config.api_config_source.grpc_services[0].envoy_grpc.cluster_name": {"dynamic_resources": object{"lds_config": source}},
		"static_resources.listeners[0]": {"static_resources": object{"listeners": list{beside.Listener("l", harness.FreePorts(t, 1)[0], manager("r", source))}}},
	} {
		b["node"] = object{"id": "x", "cluster": "x"}
		for _, p := range beside.Programs(t) {
			if out := beside.Refused(t, b, p); !p.Envoy && !strings.Contains(out, name+": ") && !strings.Contains(out, name+".") {
				t.Errorf("%s: %s", name, out)
			}
		}
	}
}
