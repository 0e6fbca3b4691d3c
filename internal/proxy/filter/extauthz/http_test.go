package extauthz

import (
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	authzv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_authz/v3"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/filter"
	"github.com/usher-mesh/usher/internal/proxy/proxytest"
	"github.com/usher-mesh/usher/internal/proxy/upstream"
)

// over gives a filter that asks a server of HTTP which says the same to everybody, and then
// what is not to be said.
func over(t *testing.T, says, fields string) *Filter {
	t.Helper()
	addr := proxytest.Serve(t, func(_ int, c net.Conn) {
		if _, err := c.Read(make([]byte, 64<<10)); err == nil && says != "" {
			io.WriteString(c, says)
			return
		}
		io.Copy(io.Discard, c)
	})
	_, port, _ := net.SplitHostPort(addr)
	cl, err := upstream.Compile(proxytest.Decode(t, `{name: authz, connect_timeout: 1s, load_assignment: {cluster_name: authz, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: `+port+`}}}}]}]}}`,
		&clusterv3.Cluster{}), upstream.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	f, err := Factory(Options{Clusters: func(string) *upstream.Cluster { return cl }, Log: slog.New(slog.DiscardHandler)}).New(filter.Config{
		Name: "authz", Typed: pack(t, proxytest.Decode(t, "{"+httpUnder("server_uri: {uri: a, cluster: authz, timeout: 0.2s}"+fields)+"}", &authzv3.ExtAuthz{}))})
	if err != nil {
		t.Fatal(err)
	}
	return f.(*Filter)
}

const all = "{patterns: [{contains: ''}]}"

// Whatever goes wrong between here and the server refuses the request.
func TestHTTPFailsClosed(t *testing.T) {
	for name, says := range map[string]string{
		"hangs": "", "is no HTTP": "\x00\x01", "breaks off": "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab", "fails": "HTTP/1.1 500 no\r\nContent-Length: 0\r\n\r\n",
		"a name that is none": "HTTP/1.1 200 OK\r\na b: c\r\nContent-Length: 0\r\n\r\n", "a value that is none": "HTTP/1.1 200 OK\r\na: b\x00\r\nContent-Length: 0\r\n\r\n",
		"too much": "HTTP/1.1 200 OK\r\nContent-Length: 2000000\r\n\r\n" + strings.Repeat("x", 2000000), "a huge head": "HTTP/1.1 200 OK\r\na: " + strings.Repeat("x", 200000) + "\r\n\r\n",
		"interim alone": "HTTP/1.1 100 Continue\r\n\r\n", "switches": "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
		"two lengths": "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nContent-Length: 5\r\n\r\n",
	} {
		x := sample()
		if f := over(t, says, ""); f.Decode(x) || x.Response.Status != 403 || x.Flags != "UAEX" || x.Response.Header.Len() > 0 {
			t.Errorf("%s: %d %s %v", name, x.Response.Status, x.Flags, x.Response.Header.Fields())
		}
	}
	x := sample()
	x.Request.Method = "CONNECT"
	f := over(t, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "")
	if f.failureAllow = true; f.Decode(x) { // that nobody can be asked is no failure
		t.Error("a CONNECT that nobody was asked about passes")
	}
}

// What frames the server's own answer, or names a target, changes neither the request nor
// the client's answer, however wide the lists are.
func TestHTTPFraming(t *testing.T) {
	const head = "Host: evil\r\nKeep-Alive: timeout=5\r\nProxy-Connection: close\r\nTrailer: x\r\nTE: trailers\r\nContent-Length: 2\r\nX-Good: yes\r\nX-Envoy-Auth-Headers-To-Remove: a, Host, :path, content-length, , b c\r\n\r\nok"
	const lists = ", authorization_response: {allowed_upstream_headers: " + all + ", allowed_upstream_headers_to_append: " + all + ", allowed_client_headers: " + all + ", allowed_client_headers_on_success: " + all + "}"
	only := func(h *exchange.Header, what string) {
		t.Helper()
		for _, f := range h.Fields() {
			if f.Name != "x-good" {
				t.Errorf("%s: %s: %s", what, f.Name, f.Value)
			}
		}
		if h.Get("x-good") != "yes" {
			t.Errorf("%s lacks the good one", what)
		}
	}
	f := over(t, "HTTP/1.1 200 OK\r\n"+head, lists)
	x := sample()
	x.Request.Header.Add("a", "1")
	if !f.Decode(x) || x.Request.Authority != "a.test" || x.Request.Path != "/p?a=1&b=2" {
		t.Fatalf("%d %+v", x.Response.Status, x.Request)
	}
	only(&x.Request.Header, "the request")
	f.Encode(x)
	only(&x.Response.Header, "the answer")
	x = sample()
	if over(t, "HTTP/1.1 401 no\r\n"+head, lists).Decode(x) || x.Response.Status != 401 {
		t.Fatal(x.Response.Status)
	}
	only(&x.Response.Header, "the refusal")
}
