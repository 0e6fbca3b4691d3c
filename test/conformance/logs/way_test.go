package logs

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/usher-mesh/usher/test/conformance/beside"
	"github.com/usher-mesh/usher/test/harness"
)

// metadata is one of several, each with its own name in it.
func metadata(name string) string {
	return `metadata: {filter_metadata: {ns: {k: ` + name + `, half: 1.5, whole: 7, yes: true, nothing: null, deep: {list: [1, x, {a: b}], m: {z: 'a "quoted" \ one', a: 1}}}, empty: {}}}`
}

// TestWay compares what lines tell of where a request came in, and where it went.
func TestWay(t *testing.T) {
	port := beside.Serve(t, http.HandlerFunc(upstream), false)
	cluster := func(name, kind, address, more string, port int) object {
		out := object{"name": name, "type": kind, "connect_timeout": "1s", "dns_lookup_family": "V4_ONLY"}
		beside.Read(t, fmt.Sprintf(`{%s, load_assignment: {cluster_name: %s, endpoints: [{lb_endpoints: [{%s, endpoint: {%s address: {socket_address: {address: %s, port_value: %d}}}}]}]}}`,
			metadata("of "+name), name, metadata("at "+name), more, address, port), &out)
		return out
	}
	const routes = `[{name: named, match: {prefix: /named}, route: {cluster: named}, METADATA}, {match: {prefix: /resolved}, route: {cluster: resolved}}, {match: {prefix: /gone}, route: {cluster: gone}},
		{match: {prefix: /direct}, direct_response: {status: 200}, METADATA}, {match: {prefix: /none}, route: {cluster: none}}, {match: {prefix: /h2}, route: {cluster: up2}}, {match: {prefix: /plain}, route: {cluster: plain}}, {match: {prefix: /strict}, route: {cluster: strict}}, {match: {path: /only}, route: {cluster: up}}]`
	asks := []ask{{path: "/named"}, {path: "/resolved"}, {path: "/gone"}, {path: "/direct"}, {path: "/none"}, {path: "/h2"}, {path: "/plain", http2: true}, {path: "/strict"}, {path: "/only"}, {path: "/unknown"}}
	of := func(name, format string) *world {
		return &world{name: name, routes: strings.ReplaceAll(routes, "METADATA", metadata("route")), host: metadata("host"), place: metadata("listener"), chain: "name: chain, " + metadata("chain"),
			asks: asks, log: `log_format: {text_format_source: {inline_string: "` + format + `\n"}}`}
	}
	typed := of("typed", "")
	typed.json = true
	typed.log = `log_format: {formatters: [{name: m, typed_config: {"@type": ` + beside.Types + `formatter.metadata.v3.Metadata}}], json_format: {k: "%METADATA(ROUTE:ns:k)%", half: "%METADATA(ROUTE:ns:half)%", nothing: "%METADATA(ROUTE:ns:nothing)%", deep: "%METADATA(UPSTREAM_HOST:ns:deep)%", all: "%UPSTREAM_METADATA(ns)%", id: "%UPSTREAM_CONNECTION_ID%", name: "%UPSTREAM_HOST_NAME%"}}`
	id := of("id", "%CONNECTION_ID% %UPSTREAM_CONNECTION_ID%")
	typed.scrub = func(s string) string { return regexp.MustCompile(`"id":[1-9]\d*`).ReplaceAllString(s, `"id":1`) }
	id.scrub = func(s string) string { return regexp.MustCompile(`\b[1-9]\d*\b`).ReplaceAllString(s, "n") }
	all := []*world{typed, id, of("names", "%FILTER_CHAIN_NAME% %LISTENER_NAME% %ROUTE_NAME% %UPSTREAM_HOST_NAME% %UPSTREAM_HOST_NAME_WITHOUT_PORT%")}
	for _, kind := range []string{"METADATA(ROUTE:", "METADATA(VIRTUAL_HOST:", "METADATA(CLUSTER:", "METADATA(UPSTREAM_HOST:", "METADATA(LISTENER:", "METADATA(LISTENER_FILTER_CHAIN:", "METADATA(DYNAMIC:", "UPSTREAM_METADATA(", "CLUSTER_METADATA("} {
		members := ""
		for i, key := range []string{"ns:k", "ns:half", "ns:whole", "ns:yes", "ns:nothing", "ns:deep:list", "ns:deep:m:a", "ns:deep", "ns:deep:none", "ns:k:none", "none:k", "empty", "ns", "ns:"} {
			members += fmt.Sprintf(`m%d: "%%%s%s)%%", `, i, kind, key)
		}
		w := of(strings.NewReplacer("(", "_", ":", "").Replace(kind), "")
		w.json, w.log = true, "log_format: {json_format: {"+members+"}}"
		all = append(all, w)
	}
	all = append(all, of("cut", "%METADATA(ROUTE:ns:k):3% %METADATA(ROUTE)% %UPSTREAM_METADATA(ns:k)%"))
	compare(t, all, cluster("named", "STATIC", "127.0.0.1", "hostname: 'name.test:1',", port), cluster("resolved", "STRICT_DNS", "localhost", "", port),
		cluster("gone", "STATIC", "127.0.0.1", "", harness.FreePorts(t, 1)[0]), cluster("plain", "LOGICAL_DNS", "127.0.0.1", "", port), cluster("strict", "STRICT_DNS", "127.0.0.1", "", port))
}

// TestConnected compares lines of connections that carry no HTTP, written when there is an endpoint
// and at the end.
func TestConnected(t *testing.T) {
	var lines [2]string
	for i, program := range beside.Programs(t) {
		dir, ports := t.TempDir(), harness.FreePorts(t, 2)
		proxy := object{"@type": beside.Types + "filters.network.tcp_proxy.v3.TcpProxy", "stat_prefix": "t", "cluster": "echo"}
		beside.Read(t, `{access_log_options: {flush_access_log_on_connected: true}, access_log: [{name: log, typed_config: {"@type": `+beside.Types+`access_loggers.file.v3.FileAccessLog, path: `+dir+`/log,
			log_format: {text_format_source: {inline_string: "%ACCESS_LOG_TYPE% %BYTES_RECEIVED% %BYTES_SENT% %UPSTREAM_HOST_NAME% %UPSTREAM_METADATA(ns:k)% %METADATA(CLUSTER:ns:k)% %FILTER_CHAIN_NAME% %RESPONSE_FLAGS%\n"}}}}]}`, &proxy)
		echoes := object{"name": "echo", "type": "STATIC", "connect_timeout": "1s"}
		beside.Read(t, fmt.Sprintf(`{%s, load_assignment: {cluster_name: echo, endpoints: [{lb_endpoints: [{%s, endpoint: {hostname: e, address: {socket_address: {address: 127.0.0.1, port_value: %d}}}}]}]}}`, metadata("c"), metadata("e"), echo(t)), &echoes)
		l := object{"name": "l", "address": beside.Address(ports[0]), "filter_chains": list{object{"name": "chain", "filters": list{object{"name": "tcp", "typed_config": proxy}}}}}
		stop := beside.Start(t, ports, beside.Bootstrap(ports[1], list{l}, list{echoes}), program)
		talk(t, ports[0])
		// Others, in any order with these, are of connections that ask whether the program listens.
		harness.Eventually(t, 30*time.Second, "both lines", func() (bool, any) {
			b, err := os.ReadFile(filepath.Join(dir, "log"))
			lines[i] = regexp.MustCompile(`(?m)^TcpConnectionEnd 5 5 .*$`).FindString(string(b))
			return lines[i] != "" && strings.Contains(string(b), "TcpUpstreamConnected 0 0 e e c chain -\n"), fmt.Sprint(err, string(b))
		})
		stop()
	}
	if lines[0] != lines[1] {
		t.Errorf("Envoy: %s\nusher: %s", lines[0], lines[1])
	}
}
