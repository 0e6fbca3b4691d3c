package filters

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/usher-mesh/usher/test/conformance/beside"
	"github.com/usher-mesh/usher/test/harness"
)

// TestOverload holds that an overloaded proxy refuses as Envoy does: pressures come from
// a file, and what is compared is what a client sees once it has an effect.
func TestOverload(t *testing.T) {
	ask := func(port int) string {
		a := &ask{}
		return a.send(port)
	}
	// closes tells whether a second request on the connection is answered.
	closes := func(port int) string {
		rs, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/", port))
		if err != nil {
			return err.Error()
		}
		defer rs.Body.Close()
		io.Copy(io.Discard, rs.Body)
		return fmt.Sprint(rs.StatusCode, rs.Close)
	}
	// answers tells whether somebody who connects is answered, closed or kept waiting.
	answers := func(port int) string {
		c, err := net.Dial("tcp", fmt.Sprint("127.0.0.1:", port))
		if err != nil {
			return "no connection"
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(time.Second))
		io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		b := make([]byte, 12)
		n, err := io.ReadFull(c, b)
		switch {
		case n == 12:
			return string(b)
		case strings.Contains(err.Error(), "timeout"):
			return "waits"
		}
		return "closed"
	}
	second := func(port int) string {
		c, err := net.Dial("tcp", fmt.Sprint("127.0.0.1:", port))
		if err != nil {
			return err.Error()
		}
		defer c.Close()
		io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		c.Read(make([]byte, 12))
		return answers(port)
	}
	const whole = "triggers: [{name: file, threshold: {value: 0.9}}]"
	for _, tt := range []struct {
		name, pressure, manager, filters string
		probe                            func(port int) string
		until                            string // the answer begins so when it has taken effect
	}{
		{"requests", "0.95", "actions: [{name: envoy.overload_actions.stop_accepting_requests, " + whole + "}]", "", ask, "503"},
		{"below", "0.85", "actions: [{name: envoy.overload_actions.stop_accepting_requests, " + whole + "}]", "", ask, "200"},
		{"saturated", "0.95", "actions: [{name: envoy.overload_actions.stop_accepting_requests, triggers: [{name: file, scaled: {scaling_threshold: 0.5, saturation_threshold: 0.9}}]}]", "", ask, "503"},
		{"point", "1", "loadshed_points: [{name: envoy.load_shed_points.http_connection_manager_decode_headers, " + whole + "}]", "", ask, "503"},
		{"keepalive", "1", "actions: [{name: envoy.overload_actions.disable_http_keepalive, " + whole + "}]", "", closes, "200 true"},
		{"reject", "1", "actions: [{name: envoy.overload_actions.reject_incoming_connections, " + whole + "}]", "", answers, "closed"},
		{"stop", "1", "actions: [{name: envoy.overload_actions.stop_accepting_connections, " + whole + "}]", "", answers, "waits"},
		{"accept", "1", "loadshed_points: [{name: envoy.load_shed_points.tcp_listener_accept, " + whole + "}]", "", answers, "closed"},
		{"limit", "0", "", `{name: limit, typed_config: {"@type": ` + beside.Types + `filters.network.connection_limit.v3.ConnectionLimit, stat_prefix: limit, max_connections: 1}}`, second, "closed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got [2]string
			for i, program := range beside.Programs(t) {
				dir := t.TempDir()
				ports := harness.FreePorts(t, 2)
				file := filepath.Join(dir, "pressure")
				if err := os.WriteFile(file, []byte(tt.pressure), 0o600); err != nil {
					t.Fatal(err)
				}
				w := &world{name: "w"}
				l := w.listener(t, ports[0], filepath.Join(dir, "log"))
				if tt.filters != "" {
					var f object
					beside.Read(t, tt.filters, &f)
					chain := l["filter_chains"].(list)[0].(object)
					chain["filters"] = append(list{f}, chain["filters"].(list)...)
				}
				manager := object{}
				beside.Read(t, "{"+tt.manager+"}", &manager)
				manager["refresh_interval"] = "0.050s"
				manager["resource_monitors"] = list{object{"name": "file", "typed_config": object{
					"@type": beside.Types + "resource_monitors.injected_resource.v3.InjectedResourceConfig", "filename": file}}}
				boot := beside.Bootstrap(ports[1], list{l}, list{beside.Cluster("up", beside.Serve(t, http.HandlerFunc(upstream), false), false)})
				boot["overload_manager"] = manager
				stop := beside.Start(t, ports[1:], boot, program)
				harness.Eventually(t, 20*time.Second, "it takes effect", func() (bool, any) {
					got[i] = tt.probe(ports[0])
					return strings.HasPrefix(got[i], tt.until), got[i]
				})
				if tt.until == "503" || tt.until == "200" {
					harness.Eventually(t, 20*time.Second, "access log", func() (bool, any) {
						b, err := os.ReadFile(filepath.Join(dir, "log"))
						lines := strings.Split(strings.TrimSpace(strings.ReplaceAll(string(b), "|{}", "|-")), "\n")
						if lines[len(lines)-1] == "" || !strings.HasPrefix(lines[len(lines)-1], tt.until) {
							return false, err
						}
						got[i] += "\n" + lines[len(lines)-1]
						return true, nil
					})
				}
				stop()
			}
			if got[0] != got[1] {
				t.Errorf("Envoy:\n%s\nusher:\n%s", got[0], got[1])
			}
		})
	}
}
