package http2

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/usher-mesh/usher/test/harness"
)

type (
	object = map[string]any
	list   = []any
)

const types = "type.googleapis.com/envoy.extensions."

// upstream answers with what it got.
func upstream(w http.ResponseWriter, r *http.Request) {
	if s, ok := strings.CutPrefix(r.URL.Path, "/status/"); ok {
		var n int
		fmt.Sscan(s, &n)
		w.WriteHeader(n)
		return
	}
	body, err := io.ReadAll(r.Body)
	var lines []string
	for k, v := range r.Header {
		if k != "X-Request-Id" {
			lines = append(lines, fmt.Sprintf("got %s: %q", k, v))
		}
	}
	for k, v := range r.Trailer {
		lines = append(lines, fmt.Sprintf("got trailer %s: %q", k, v))
	}
	slices.Sort(lines)
	w.Header()["Date"] = nil
	w.Header().Set("Content-Type", "text/plain")
	if r.URL.Path == "/trailers" {
		w.Header().Set("Trailer", "X-T")
		w.(http.Flusher).Flush()
	}
	text := fmt.Sprintf("%s %s %s %s %q %v\n%s\n", r.Proto, r.Method, r.Host, r.RequestURI, body, err, strings.Join(lines, "\n"))
	if r.URL.Path != "/trailers" {
		w.Header().Set("Content-Length", fmt.Sprint(len(text)))
	}
	if r.Method != "HEAD" {
		io.WriteString(w, text)
	}
	if r.URL.Path == "/trailers" {
		w.Header().Set("X-T", "t")
	}
}

func address(port int) object {
	return object{"socket_address": object{"address": "127.0.0.1", "port_value": port}}
}

func cluster(name string, port int, http2 bool) object {
	c := object{"name": name, "type": "STATIC", "connect_timeout": "1s", "load_assignment": object{"cluster_name": name,
		"endpoints": list{object{"lb_endpoints": list{object{"endpoint": object{"address": address(port)}}}}}}}
	options := object{"http_protocol_options": object{"enable_trailers": true}}
	if http2 {
		options = object{"http2_protocol_options": object{}}
	}
	c["typed_extension_protocol_options"] = object{"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": object{
		"@type": types + "upstreams.http.v3.HttpProtocolOptions", "explicit_http_config": options}}
	return c
}

func listener(name string, port int, up string, streamErrors bool) object {
	route := func(prefix string, action object) object {
		action["match"] = object{"prefix": prefix}
		return action
	}
	routes := list{
		route("/none", object{"route": object{"cluster": "absent"}}),
		route("/redirect", object{"redirect": object{"host_redirect": "other.test"}}),
		route("/direct/ok", object{"direct_response": object{"status": 200, "body": object{"inline_string": "tea"}}}),
		route("/direct", object{"direct_response": object{"status": 418, "body": object{"inline_string": "tea"}}}),
		route("/nobody", object{"route": object{"cluster": "nobody"}}),
		route("/", object{"route": object{"cluster": up}}),
		object{"match": object{"path": "*"}, "route": object{"cluster": up}},
	}
	hcm := object{
		"@type": types + "filters.network.http_connection_manager.v3.HttpConnectionManager", "stat_prefix": name, "codec_type": "HTTP2",
		"generate_request_id": false, "http2_protocol_options": object{"override_stream_error_on_invalid_http_message": streamErrors},
		"route_config": object{"validate_clusters": false, "virtual_hosts": list{object{"name": "all", "domains": list{"*"}, "routes": routes}}},
		"http_filters": list{object{"name": "router", "typed_config": object{"@type": types + "filters.http.router.v3.Router"}}},
	}
	return object{"name": name, "address": address(port), "filter_chains": list{object{"filters": list{object{"name": "hcm", "typed_config": hcm}}}}}
}

// run runs a program and gives its answers, one for each request and listener.
func run(t *testing.T, file string, ports []int, program string, args ...string) (out []string) {
	t.Helper()
	defer harness.Serve(t, ports, program, append([]string{"-c", file}, args...)...)()
	all := requests()
	out = make([]string, len(all)*len(ports))
	var wg sync.WaitGroup
	for i := range out { // those whose connection ends take a second
		wg.Go(func() { out[i] = ask(ports[i%len(ports)], all[i/len(ports)]) })
	}
	wg.Wait()
	return out
}

func TestSameAsEnvoy(t *testing.T) {
	envoy, usher := harness.Envoy(t), harness.Bin(t, "usher-proxy")
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(upstream), Protocols: new(http.Protocols)}
	server.Protocols.SetHTTP1(true)
	server.Protocols.SetUnencryptedHTTP2(true)
	go server.Serve(ln)
	t.Cleanup(func() { server.Close() })
	up := ln.Addr().(*net.TCPAddr).Port
	ports := harness.FreePorts(t, 4)
	b, err := json.Marshal(object{"node": object{"id": "x", "cluster": "x"}, "static_resources": object{
		"listeners": list{listener("to1", ports[0], "one", false), listener("to2", ports[1], "two", false), listener("to1stream", ports[2], "one", true)},
		"clusters":  list{cluster("one", up, false), cluster("two", up, true), cluster("nobody", ports[3], true)},
	}})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "bootstrap.json")
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	e := run(t, file, ports[:3], envoy, "--concurrency", "1", "--disable-hot-restart", "-l", "error")
	u := run(t, file, ports[:3], usher)
	i := 0
	used := map[string]bool{}
	for _, r := range requests() {
		for _, to := range []string{"to1", "to2", "to1, stream errors"} {
			why, differs := exceptions[r.name]
			switch same := e[i] == u[i]; {
			case same:
				if strings.HasSuffix(e[i], "nothing") {
					t.Errorf("%s (%s): neither answers", r.name, to)
				}
			case differs:
				used[r.name] = true
				t.Logf("%s (%s): %s", r.name, to, why)
			default:
				t.Errorf("%s (%s):\nEnvoy:\n%s\nusher:\n%s", r.name, to, short(e[i]), short(u[i]))
			}
			i++
		}
	}
	for name := range exceptions {
		if !used[name] {
			t.Errorf("nothing differs in %q", name)
		}
	}
	t.Logf("%d answers are the same but for %d requests", i, len(used))
}

func short(s string) string {
	if len(s) > 1500 {
		return s[:1500] + "..."
	}
	return s
}
