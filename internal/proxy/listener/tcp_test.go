package listener_test

import (
	"bytes"
	ctls "crypto/tls"
	"fmt"
	"io"
	"net"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/usher-mesh/usher/internal/proxy/counters"
	"github.com/usher-mesh/usher/internal/proxy/exchange"

	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"

	"github.com/usher-mesh/usher/internal/proxy/accesslog"
	"github.com/usher-mesh/usher/internal/proxy/listener"
	"github.com/usher-mesh/usher/internal/proxy/proxytest"
)

const networkRBAC = `
  - name: envoy.filters.network.rbac
    typed_config:
      "@type": type.googleapis.com/envoy.extensions.filters.network.rbac.v3.RBAC
      stat_prefix: tcp.
      `

const tcpToUp = `
  - name: tcp
    typed_config:
      "@type": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy
      stat_prefix: t
      cluster: up
      access_log:
      - name: file
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog
          path: /dev/stdout
          log_format: {text_format_source: {inline_string: "%RESPONSE_CODE% %RESPONSE_FLAGS% %CONNECTION_TERMINATION_DETAILS% %BYTES_RECEIVED% %BYTES_SENT% %DOWNSTREAM_PEER_URI_SAN% %UPSTREAM_HOST% %UPSTREAM_CLUSTER% %PROTOCOL% %REQ(:METHOD)%\n"}}
`

func tcpListener(guards string) string {
	return "name: tcp\naddress: {socket_address: {address: 127.0.0.1, port_value: 0}}\nfilter_chains:\n- filters:" +
		guards + strings.TrimPrefix(tcpToUp, "\n") + strings.TrimPrefix(serverSocket(), "\n")
}

func whoIs(action, uri string) string {
	return networkRBAC + `rules: {action: ` + action + `, policies: {p: {permissions: [{any: true}], principals: [{authenticated: {principal_name: {exact: "` + uri + `"}}}]}}}` + "\n"
}

// capitals answers a connection with what it read, in capitals.
func capitals(t *testing.T) string {
	return proxytest.Serve(t, func(_ int, c net.Conn) {
		b, _ := io.ReadAll(c)
		_, _ = c.Write(bytes.ToUpper(b))
	})
}

// TestTCPGuards: a connection goes on if every RBAC filter lets its mTLS identity,
// and its end is one line of the log.
func TestTCPGuards(t *testing.T) {
	ca := newAuthority(t)
	until := time.Now().Add(time.Hour)
	up := capitals(t)
	const denied = "0 - rbac_access_denied_matched_policy[%s] 0 0 %s - - - -\n"
	for name, tc := range map[string]struct {
		guards string
		b, c   string // the log's detail for a refusal of that caller
	}{
		"none":        {"\n", "", ""},
		"deny":        {whoIs("DENY", uriB), "p", ""},
		"allow":       {whoIs("ALLOW", uriB), "", "none"},
		"both":        {whoIs("DENY", uriB) + strings.TrimPrefix(whoIs("ALLOW", uriB), "\n"), "p", "none"},
		"nobody":      {networkRBAC + "rules: {action: ALLOW}\n", "none", "none"},
		"shadow only": {networkRBAC + "shadow_rules: {action: ALLOW}\n", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			for uri, detail := range map[string]string{uriB: tc.b, uriC: tc.c} {
				p := newProxy(t, newSecrets(ca, ca.issue(t, uriA, until)))
				var out bytes.Buffer
				p.opts.AccessLogs = &accesslog.Files{Stdout: &out}
				p.cluster(staticCluster("up", up, ""))
				p.start(tcpListener(tc.guards))
				c, err := ctls.Dial("tcp", p.addr, &ctls.Config{InsecureSkipVerify: true, Certificates: []ctls.Certificate{*ca.issue(t, uri, until)}})
				if err != nil {
					t.Fatal(err)
				}
				c.SetDeadline(time.Now().Add(5 * time.Second))
				_, _ = io.WriteString(c, "hello")
				_ = c.CloseWrite()
				got, _ := io.ReadAll(c)
				c.Close()
				p.Close()
				p.opts.AccessLogs.Flush()
				want, line := "HELLO", "0 - - 5 5 "+uri+" "+up+" up - -\n"
				if detail != "" {
					want, line = "", strings.NewReplacer("[%s]", "["+detail+"]", " %s ", " "+uri+" ").Replace(denied)
				}
				if string(got) != want || out.String() != line {
					t.Errorf("%s: %q, log %q, want %q, %q", uri, got, out.String(), want, line)
				}
			}
		})
	}
}

// TestTCPLogFailure: what kept a connection from its endpoint is in the log.
func TestTCPLogFailure(t *testing.T) {
	dead, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dead.Close()
	for name, tc := range map[string]struct{ cluster, line string }{
		"no cluster":  {"", `^0 NC - 0 0 - - - - -\n$`},
		"no endpoint": {"name: up\ntype: STATIC\n", `^0 UH - 0 0 - - up - -\n$`},
		"refused":     {staticCluster("up", dead.Addr().String(), ""), `^0 UF,URX - 0 0 - ` + dead.Addr().String() + ` up - -\n$`},
		"too many":    {staticCluster("up", dead.Addr().String(), "circuit_breakers: {thresholds: [{max_connections: 0}]}\n"), `^0 UO - 0 0 - - up - -\n$`},
	} {
		t.Run(name, func(t *testing.T) {
			p := newProxy(t, nil)
			var out bytes.Buffer
			p.opts.AccessLogs = &accesslog.Files{Stdout: &out}
			if tc.cluster != "" {
				p.cluster(tc.cluster)
			}
			text := tcpListener("\n")
			p.start(text[:strings.Index(text, "  transport_socket:")])
			if got := raw(t, p.addr, ""); got != "" {
				t.Errorf("%q", got)
			}
			p.Close()
			p.opts.AccessLogs.Flush()
			if !regexp.MustCompile(tc.line).MatchString(out.String()) {
				t.Errorf("log %q", out.String())
			}
		})
	}
}

// TestTCPGuardsRefused: rules of which a connection knows nothing are refused, as
// is a filter in front that is not known.
func TestTCPGuardsRefused(t *testing.T) {
	policy := func(permission, principal string) string {
		return networkRBAC + "rules: {policies: {p: {permissions: [" + permission + "], principals: [" + principal + "]}}}\n"
	}
	const anyOne = "{any: true}"
	for name, tc := range map[string]struct{ guards, want string }{
		"header":       {policy("{header: {name: x, present_match: true}}", anyOne), "header"},
		"nested":       {policy(anyOne, "{not_id: {or_ids: {ids: [{header: {name: x, present_match: true}}]}}}"), "header"},
		"path":         {policy("{url_path: {path: {prefix: /}}}", anyOne), "url_path"},
		"continuous":   {networkRBAC + "enforcement_type: CONTINUOUS\n", "enforcement_type"},
		"TCP twice":    {tcpToUp, "filters[0]"},
		"bad rule":     {policy("{destination_port: 70000}", anyOne), "filters[0].typed_config.rules"},
		"bad policies": {policy("", anyOne), "permissions: empty"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newProxy(t, newSecrets(newAuthority(t), nil))
			p.opts.AccessLogs = new(accesslog.Files)
			m := new(listenerv3.Listener)
			proxytest.Decode(t, tcpListener(tc.guards), m)
			if _, err := listener.Compile(m, p.opts); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want %s", err, tc.want)
			}
		})
	}
	text := strings.Replace(plainListener(""), "- filters:\n", "- filters:"+whoIs("DENY", uriB), 1)
	m := new(listenerv3.Listener)
	proxytest.Decode(t, text, m)
	if _, err := listener.Compile(m, newProxy(t, nil).opts); err == nil {
		t.Error("a filter for connections in front of HTTP is taken")
	}
}

// TestTCPCounters: what the guards decide is counted under Envoy's names, across
// configurations.
func TestTCPCounters(t *testing.T) {
	ca := newAuthority(t)
	until := time.Now().Add(time.Hour)
	p := newProxy(t, newSecrets(ca, ca.issue(t, uriA, until)))
	var mu sync.Mutex
	var told []string
	over := make(chan bool, 10)
	p.opts.ObserveTCP = func(x *exchange.Exchange, ended bool) {
		mu.Lock()
		defer mu.Unlock()
		told = append(told, fmt.Sprint(x.Cluster, " ", ended))
		if ended {
			over <- true
		}
	}
	p.opts.Counters, p.opts.AccessLogs = &counters.Set{}, &accesslog.Files{Stdout: io.Discard}
	p.cluster(staticCluster("up", echoes(t, false), ""))
	text := tcpListener(strings.Replace(whoIs("DENY", uriB), "stat_prefix: tcp.", "stat_prefix: tcp.\n      shadow_rules_stat_prefix: sh_\n      shadow_rules: {action: ALLOW}", 1))
	p.start(text)
	ended(t, p.dial(t, ca.issue(t, uriB, until)))
	<-over // the client sees its end before it is told
	if err := p.Swap(p.compile(text)); err != nil {
		t.Fatal(err)
	}
	alive(t, p.dial(t, ca.issue(t, uriC, until)))
	var got []string
	for _, c := range p.opts.Counters.List() {
		if c.Scope != counters.Network {
			continue
		}
		got = append(got, fmt.Sprint(c.Of, ".", c.Name.Name, " ", c.Value))
	}
	mu.Lock()
	defer mu.Unlock()
	if want := []string{" false", " true", "up false"}; !slices.Equal(told, want) { // refused, and one that goes on
		t.Errorf("told %q, want %q", told, want)
	}
	want := []string{"tcp.rbac.allowed 1", "tcp.rbac.denied 1", "tcp.rbac.sh_.shadow_allowed 0", "tcp.rbac.sh_.shadow_denied 2"}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
