package admin

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/usher-mesh/usher/test/harness"
)

const bootstrap = `
node: {id: me, cluster: us, locality: {region: r, zone: z}}
admin:
  address: {socket_address: {address: 127.0.0.1, port_value: @ADMIN@}}
  @ALLOW@
static_resources:
  listeners:
  - name: plain
    address: {socket_address: {address: 127.0.0.1, port_value: @PORT@}}
    traffic_direction: INBOUND
    filter_chains: [{filters: [{name: hcm, typed_config: &hcm {
      "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager, stat_prefix: in,
      route_config: {name: r, virtual_hosts: [{name: v, domains: ["*"], routes: [{match: {prefix: /}, route: {cluster: up}}]}]},
      http_filters: [
        {name: health, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.health_check.v3.HealthCheck, pass_through_mode: false, headers: [{name: ":path", string_match: {exact: /healthz}}]}},
        {name: router, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}]}}]}]
  - name: tls
    address: {socket_address: {address: 127.0.0.1, port_value: @TLS@}}
    filter_chains: [{filters: [{name: hcm, typed_config: *hcm}], transport_socket: {name: tls, typed_config: {
      "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext,
      common_tls_context: {
        tls_certificates: [{certificate_chain: {filename: @CERT@}, private_key: {inline_string: @KEY@}}],
        validation_context: {trusted_ca: {filename: @CA@}}}}}}]
  clusters:
  - name: up
    type: STATIC
    connect_timeout: 1s
    circuit_breakers: &bounds {thresholds: [{max_connections: 7, max_pending_requests: 8, max_requests: 9, max_retries: 4}, {priority: HIGH, max_connections: 7, max_pending_requests: 8, max_requests: 9, max_retries: 4}]}
    load_assignment: {cluster_name: up, endpoints: [{locality: {region: r1, zone: z1}, lb_endpoints: [
      {load_balancing_weight: 3, endpoint: {hostname: h, address: {socket_address: {address: 127.0.0.1, port_value: @UP@}}}}]},
      {priority: 1, lb_endpoints: [
      {health_status: DEGRADED, endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: 1}}}},
      {health_status: UNHEALTHY, endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: 2}}}},
      {health_status: DRAINING, endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: 3}}}}]}]}
  - name: dead
    type: STATIC
    connect_timeout: 1s
    circuit_breakers: *bounds
    load_assignment: {cluster_name: dead, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: 4}}}}]}]}
`

// ask is a request, and what of its answers is compared.
type ask struct {
	method, path string
	how          comparison
	differs      string // why usher answers otherwise; "": it must not
}

type comparison int

const (
	whole   comparison = iota // status, headers, body
	keys                      // of the body, the keys of its JSON
	head                      // nothing of the body
	status                    // nothing but the status
	counted                   // of the body, the lines with ::cx_ and ::rq_ after some traffic
)

const (
	noSuch  = "usher has nothing of the kind, and says that there is no such path"
	oneType = "Envoy says text/plain without a charset here, and nosniff twice"
)

var asks = []ask{
	{"GET", "/", head, ""}, {"GET", "/help", head, ""}, {"GET", "/ready", whole, ""}, {"POST", "/ready", whole, ""}, {"HEAD", "/ready", whole, ""},
	{"GET", "//ready", whole, ""}, {"GET", "/x/../ready", whole, ""}, {"GET", "/ready?a=b", whole, ""},
	{"GET", "/server_info", keys, ""}, {"GET", "/certs", keys, ""}, {"GET", "/memory", keys, ""},
	{"GET", "/clusters", head, ""}, {"GET", "/clusters?format=json", keys, ""}, // Envoy has no order
	{"GET", "/clusters?filter=ea", whole, ""}, {"GET", "/clusters?filter=u", whole, ""}, {"GET", "/clusters?filter=^up$&format=json", whole, ""},
	{"GET", "/clusters?filter=[", whole, ""}, {"GET", "/clusters?filter=nobody&format=json", whole, ""},
	{"GET", "/listeners", whole, ""}, {"GET", "/listeners?format=json", whole, ""}, {"GET", "/listeners?format=x", whole, ""},
	{"GET", "/config_dump", keys, ""}, {"GET", "/config_dump?include_eds", keys, ""},
	{"GET", "/config_dump?resource=static_clusters", keys, ""}, {"GET", "/config_dump?resource=static_listeners&name_regex=pl.*", keys, ""},
	{"GET", "/config_dump?resource=static_clusters&mask=cluster.name", whole, ""}, {"GET", "/config_dump?mask=bootstrap.admin", whole, ""},
	{"GET", "/config_dump?mask=static_route_configs", keys, ""}, {"GET", "/config_dump?resource=dynamic_listeners", whole, ""},
	{"GET", "/config_dump?resource=static_endpoint_configs&include_eds", whole, ""},
	{"GET", "/config_dump?resource=nope", head, oneType}, {"GET", "/config_dump?resource=bootstrap", head, oneType},
	{"GET", "/config_dump?mask=nope", head, oneType}, {"GET", "/config_dump?resource=static_clusters&mask=nope", head, oneType}, {"GET", "/config_dump?name_regex=[", head, oneType},
	{"GET", "/config_dump?resource=nope", status, ""}, {"GET", "/config_dump?resource=bootstrap", status, ""}, {"GET", "/config_dump?mask=nope", status, ""},
	{"GET", "/config_dump?resource=static_clusters&mask=nope", status, ""}, {"GET", "/config_dump?name_regex=[", status, ""},
	{"GET", "/init_dump", whole, ""}, {"GET", "/init_dump?mask=listener", whole, ""},
	{"GET", "/hot_restart_version", whole, ""}, {"GET", "/nope", head, ""}, {"POST", "/nope", head, ""}, {"GET", "/ready/", head, ""},
	{"GET", "/stats", head, ""}, {"GET", "/stats?format=json", head, ""}, {"GET", "/stats?format=prometheus", head, ""}, {"GET", "/stats/prometheus", head, ""},
	{"GET", "/stats?format=bogus", head, ""}, {"GET", "/stats?filter=[", whole, ""}, {"GET", "/stats?type=bogus", whole, ""}, {"GET", "/stats?hidden=bogus", status, ""},
	{"GET", "/stats?histogram_buckets=bogus", head, ""}, {"GET", "/stats/prometheus?histogram_buckets=disjoint", whole, ""},
	{"GET", "/stats?filter=^server.live$", whole, ""}, {"GET", "/stats?filter=^server.live$&format=json", whole, ""},
	{"GET", "/stats?filter=^nobody$", whole, ""}, {"GET", "/stats?filter=^nobody$&format=json", whole, ""}, {"GET", "/stats?type=TextReadouts", whole, ""},
	{"GET", "/stats?format=html", status, "there are no pages for browsers"},
	{"GET", "/contention", status, noSuch}, {"GET", "/runtime", status, noSuch}, {"GET", "/heap_dump", status, noSuch}, {"GET", "/stats/recentlookups", status, noSuch},
	{"GET", "/cpuprofiler", status, noSuch}, {"POST", "/runtime_modify", status, noSuch}, {"POST", "/reopen_logs", whole, ""},
	{"GET", "/drain_listeners", whole, ""}, {"PUT", "/quitquitquit", whole, ""}, {"DELETE", "/healthcheck/fail", whole, ""}, {"GET", "/healthcheck/ok", whole, ""},
	{"GET", "/reset_counters", whole, ""}, {"GET", "/logging", whole, ""}, {"GET", "/quitquitquit", whole, ""},
	{"POST", "/logging", head, ""}, {"POST", "/logging?level=bogus", head, ""}, {"POST", "/logging?admin=debug", head, ""}, {"POST", "/logging?nobody=debug", head, ""},
	{"POST", "/logging?paths=admin:info,main:warning", head, ""}, {"POST", "/logging?level=info&admin=info", head, ""}, {"POST", "/logging?level=info", head, ""},
	{"POST", "/reset_counters", whole, ""},
	{"POST", "/healthcheck/fail", whole, ""}, {"GET", "/ready", whole, ""}, {"GET", "/server_info", keys, ""}, {"TRAFFIC", "/healthz", whole, ""}, {"TRAFFIC", "/", whole, ""},
	{"POST", "/healthcheck/ok", whole, ""}, {"GET", "/ready", whole, ""}, {"TRAFFIC", "/healthz", whole, ""}, {"TRAFFIC", "/", whole, ""},
	{"GET", "/clusters?filter=up", counted, ""},
	{"POST", "/drain_listeners?inboundonly", whole, ""}, {"POST", "/quitquitquit", whole, ""},
}

// world is a program under test.
type world struct {
	admin, port int
	i           *identity
}

// identity is what the programs show over TLS.
type identity struct{ cert, key, ca string } // file, JSON text, file

func newIdentity(t *testing.T) *identity {
	ca := harness.ForeignCA(t)
	leaf := harness.Issue(t, ca, "spiffe://x/ns/a/sa/b", time.Now().Add(90*time.Minute))
	der, err := x509.MarshalPKCS8PrivateKey(leaf.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	text := func(kind string, der []byte) []byte { return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}) }
	dir := t.TempDir()
	i := &identity{cert: filepath.Join(dir, "c.pem"), ca: filepath.Join(dir, "ca.pem")}
	for file, b := range map[string][]byte{i.cert: text("CERTIFICATE", leaf.Certificate[0]), i.ca: text("CERTIFICATE", ca.Certificate[0])} {
		if err := os.WriteFile(file, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	key, err := json.Marshal(string(text("PRIVATE KEY", der)))
	if err != nil {
		t.Fatal(err)
	}
	i.key = string(key)
	return i
}

// search looks for a piece of the key.
func (i *identity) search(t *testing.T, where, text string) {
	t.Helper()
	lines := strings.Split(i.key, `\n`)
	for _, l := range lines[1 : len(lines)-2] {
		for _, piece := range []string{l, base64.StdEncoding.EncodeToString([]byte(l))[:16]} {
			if strings.Contains(text, piece) {
				t.Errorf("%s holds a piece of the key", where)
			}
		}
	}
}

func start(t *testing.T, i *identity, allow, program string, args ...string) *world {
	t.Helper()
	p := harness.FreePorts(t, 3)
	text := strings.NewReplacer("@ADMIN@", fmt.Sprint(p[0]), "@PORT@", fmt.Sprint(p[1]), "@TLS@", fmt.Sprint(p[2]), "@UP@", fmt.Sprint(upstream(t)), "@ALLOW@", allow,
		"@CERT@", i.cert, "@KEY@", i.key, "@CA@", i.ca).Replace(bootstrap)
	file := filepath.Join(t.TempDir(), "b.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	harness.Serve(t, p, program, append([]string{"-c", file}, args...)...)
	return &world{p[0], p[1], i}
}

func upstream(t *testing.T) int {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Header()["Date"] = nil })}
	go s.Serve(ln)
	t.Cleanup(func() { s.Close() })
	return ln.Addr().(*net.TCPAddr).Port
}

var transport = &http.Transport{DisableCompression: true, DisableKeepAlives: true}

// answer gives what is compared.
func (w *world) answer(t *testing.T, a *ask) string {
	t.Helper()
	method, port := a.method, w.admin
	if method == "TRAFFIC" {
		method, port = "GET", w.port
	}
	r, err := http.NewRequest(method, fmt.Sprintf("http://127.0.0.1:%d%s", port, a.path), nil)
	if err != nil {
		t.Fatal(err)
	}
	rs, err := transport.RoundTrip(r)
	if err != nil {
		return err.Error()
	}
	defer rs.Body.Close()
	b, err := io.ReadAll(rs.Body)
	if err != nil {
		t.Fatal(a.path, err)
	}
	w.i.search(t, a.path, string(b))
	out := fmt.Sprintln(rs.StatusCode)
	if a.how == status {
		return out
	}
	var fields []string
	for k, v := range rs.Header {
		switch k {
		case "Date", "Content-Length", "X-Envoy-Upstream-Service-Time", "Content-Security-Policy":
		default:
			fields = append(fields, fmt.Sprintf("%s: %q\n", k, v))
		}
	}
	slices.Sort(fields)
	out += strings.Join(fields, "")
	switch a.how {
	case whole:
		out += ports.ReplaceAllString(string(b), "PORT")
	case keys:
		var v any
		if err := json.Unmarshal(b, &v); err != nil {
			t.Fatalf("%s: %v in %s", a.path, err, b)
		}
		set := map[string]bool{}
		keysOf(v, "", set)
		var all []string
		for k := range set {
			all = append(all, k)
		}
		slices.Sort(all)
		out += strings.Join(all, "\n")
	case counted:
		for l := range strings.Lines(string(b)) {
			if strings.Contains(l, "::cx_") || strings.Contains(l, "::rq_") {
				out += ports.ReplaceAllString(l, "PORT")
			}
		}
	}
	return out
}

// ports are those that each program has its own of.
var ports = regexp.MustCompile(`\b[1-6][0-9]{4}\b`)

// keysOf notes the path of every key. What lists hold is not told apart, and Any by its type.
func keysOf(v any, at string, set map[string]bool) {
	switch v := v.(type) {
	case map[string]any:
		if t, ok := v["@type"].(string); ok {
			at += "<" + t + ">"
		}
		for k, e := range v {
			if at+"."+k == ".node.metadata" || ignored.MatchString(at+"."+k) {
				continue
			}
			set[at+"."+k] = true
			keysOf(e, at+"."+k, set)
		}
	case []any:
		for _, e := range v {
			keysOf(e, at+"[]", set)
		}
	}
}

// ignored keys: what the programs are told of themselves.
var ignored = regexp.MustCompile(`node\.(extensions|user_agent.*)$`)

// TestAdmin: the same answers, but for what is listed.
func TestAdmin(t *testing.T) {
	envoy, usher := harness.Envoy(t), harness.Bin(t, "usher-proxy")
	i := newIdentity(t)
	e := start(t, i, "", envoy, "--concurrency", "1", "--disable-hot-restart", "-l", "error")
	u := start(t, i, "", usher)
	for n := range asks {
		a := &asks[n]
		if es, us := e.answer(t, a), u.answer(t, a); (es == us) != (a.differs == "") {
			t.Errorf("%s %s (%s):\nEnvoy:\n%.6000s\nusher:\n%.6000s", a.method, a.path, a.differs, es, us)
		}
	}
}

// TestAllowPaths: what is not allowed is refused alike.
func TestAllowPaths(t *testing.T) {
	envoy, usher := harness.Envoy(t), harness.Bin(t, "usher-proxy")
	i := newIdentity(t)
	const allow = `allow_paths: [{exact: /ready}, {prefix: /stats}, {safe_regex: {regex: "/clus.*"}}]`
	e := start(t, i, allow, envoy, "--concurrency", "1", "--disable-hot-restart", "-l", "error")
	u := start(t, i, allow, usher)
	for _, a := range []ask{
		{"GET", "/ready", whole, ""}, {"GET", "/ready?a", whole, ""}, {"GET", "//ready", whole, ""}, {"GET", "/stats?filter=nobody", whole, ""}, {"GET", "/stats/prometheus?filter=nobody", whole, ""},
		{"GET", "/clusters?filter=up", head, ""}, {"GET", "/config_dump", whole, ""}, {"POST", "/quitquitquit", whole, ""}, {"GET", "/quitquitquit", whole, ""}, {"GET", "/", whole, ""}, {"GET", "/nope", whole, ""},
	} {
		if es, us := e.answer(t, &a), u.answer(t, &a); es != us {
			t.Errorf("%s %s:\nEnvoy:\n%s\nusher:\n%s", a.method, a.path, es, us)
		}
	}
}
