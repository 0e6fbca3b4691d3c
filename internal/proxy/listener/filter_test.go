package listener_test

import (
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/filter"
)

// guard refuses requests without a header, and changes the route of others.
type guard struct{}

func (guard) Decode(x *exchange.Exchange) bool {
	switch x.Request.Header.Get("x-do") {
	case "":
		x.Reply(401, "Jwt is missing", "jwt_authn_access_denied{Jwt_is_missing}")
		x.Response.Header.Add("www-authenticate", "Bearer")
		return false
	case "reroute":
		x.Request.Header.Set("x-to", "b")
		x.ClearRoute()
	case "inject":
		x.Request.Header.Set("x-foo", "a\r\nHost: evil")
	}
	return true
}

func (guard) Encode(x *exchange.Exchange) { x.Response.Header.Set("x-encoded", "yes") }

func guarded(t *testing.T) *proxy {
	p := newProxy(t, nil)
	any, err := anypb.New(&emptypb.Empty{})
	if err != nil {
		t.Fatal(err)
	}
	p.opts.Filters = []filter.Factory{{TypeURL: any.TypeUrl, New: func(filter.Config) (filter.Filter, error) { return guard{}, nil }}}
	p.cluster(staticCluster("up", backend(t, echo), ""))
	text := plainListener("")
	text = strings.Replace(text, "http_filters:", "http_filters:\n      - {name: guard, typed_config: {\"@type\": type.googleapis.com/google.protobuf.Empty, value: {}}}", 1)
	text = strings.Replace(text, "routes: [", `routes: [{match: {prefix: /, headers: [{name: x-to, string_match: {exact: b}}]}, direct_response: {status: 202, body: {inline_string: b}}}, `, 1)
	return p.start(text)
}

func TestFilters(t *testing.T) {
	p := guarded(t)
	for _, tt := range []struct {
		name, text, status, body string
		header                   map[string]string
		keep                     bool
	}{
		{"refused", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "401", "Jwt is missing", map[string]string{"Content-Type": "text/plain", "Www-Authenticate": "Bearer", "X-Encoded": "yes"}, true},
		{"refused with content at hand", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab", "401", "Jwt is missing", nil, true},
		{"refused with content to come", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 200\r\n\r\nab", "401", "Jwt is missing", nil, false},
		{"HEAD", "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", "401", "", map[string]string{"Content-Length": "14"}, true},
		{"gRPC", "POST / HTTP/1.1\r\nHost: a\r\nContent-Type: application/grpc\r\nContent-Length: 0\r\n\r\n", "200", "",
			map[string]string{"Grpc-Status": "16", "Grpc-Message": "Jwt is missing", "Content-Type": "application/grpc", "Www-Authenticate": "Bearer"}, true},
		{"passed", "GET / HTTP/1.1\r\nHost: a\r\nX-Do: pass\r\n\r\n", "200", "0 bytes", map[string]string{"X-Encoded": "yes"}, true},
		{"rerouted", "GET / HTTP/1.1\r\nHost: a\r\nX-Do: reroute\r\n\r\n", "202", "b", nil, true},
		{"a filter's line end", "GET / HTTP/1.1\r\nHost: a\r\nX-Do: inject\r\n\r\n", "502", "upstream connect error or disconnect/reset before headers. reset reason: protocol error", nil, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			rs, b := one(t, p.addr, tt.text, tt.text[:strings.IndexByte(tt.text, ' ')])
			if rs.Status[:3] != tt.status || b != tt.body || rs.Close == tt.keep {
				t.Errorf("%s %q, close %v", rs.Status, b, rs.Close)
			}
			for k, v := range tt.header {
				if rs.Header.Get(k) != v {
					t.Errorf("%s: %q, want %q", k, rs.Header.Get(k), v)
				}
			}
		})
	}
}

// TestSmuggling sends what two parsers could split in two ways, each with a
// second request hidden in it: one answer must come, and the connection end.
func TestSmuggling(t *testing.T) {
	const hidden = "GET /hidden HTTP/1.1\r\nHost: a\r\n\r\n"
	p := newProxy(t, nil)
	seen := make(chan string, 100)
	p.cluster(staticCluster("up", backend(t, func(w http.ResponseWriter, r *http.Request) { seen <- r.URL.Path; io.Copy(w, r.Body) }), ""))
	p.start(plainListener(""))
	for name, head := range map[string]string{
		"CL.TE":            "Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"TE.CL":            "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n5c\r\n",
		"TE.TE":            "Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n0\r\n\r\n",
		"CL.CL":            "Content-Length: 0\r\nContent-Length: 34\r\n\r\n",
		"TE with a space":  "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
		"TE with a tab":    "Transfer-Encoding:\tchunked\x0b\r\n\r\n0\r\n\r\n",
		"folded TE":        "Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
		"bare LF":          "A: b\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"bare CR":          "A: b\rTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"chunk size space": "Transfer-Encoding: chunked\r\n\r\n0 \r\n\r\n",
		"chunk LF":         "Transfer-Encoding: chunked\r\n\r\n0\n\n",
		"chunk ext LF":     "Transfer-Encoding: chunked\r\n\r\n0;\n\r\n\r\n",
		"trailer CL":       "Transfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 0\r\n\r\n",
		"two Hosts":        "Host: b\r\n\r\n",
		"NUL":              "A: \x00\r\n\r\n",
		"underscore CL":    "Content-Length: 1_0\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			got := raw(t, p.addr, "POST /first HTTP/1.1\r\nHost: a\r\n"+head+hidden)
			if n := strings.Count(got, "HTTP/1.1 "); n > 1 {
				t.Errorf("%d answers: %q", n, got)
			}
			if !strings.HasPrefix(got, "HTTP/1.1 400 ") && !strings.HasPrefix(got, "HTTP/1.1 501 ") {
				t.Errorf("%q", got)
			}
		})
	}
	for {
		select {
		case path := <-seen:
			if path == "/hidden" {
				t.Error("a hidden request came through")
			}
			continue
		default:
		}
		break
	}
}

// TestBadBody holds that a body that turns out to be malformed is answered at once,
// however its reader and the one who waits for the upstream's answer are interleaved.
func TestBadBody(t *testing.T) {
	p := newProxy(t, nil)
	p.cluster(staticCluster("up", backend(t, func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) }), ""))
	p.start(plainListener(""))
	for range 300 {
		rs, _ := one(t, p.addr, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 0\r\n\r\n", "POST")
		if rs.StatusCode != 400 {
			t.Fatal(rs.Status)
		}
	}
}

const plainTCP = `
name: tcp
address: {socket_address: {address: 127.0.0.1, port_value: 0}}
filter_chains:
- filters:
  - name: tcp
    typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy, stat_prefix: t, cluster: up}`

func TestTCPProxy(t *testing.T) {
	p := newProxy(t, nil)
	p.cluster(staticCluster("up", backend(t, echo), ""))
	p.start(plainTCP)
	if got := raw(t, p.addr, "GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"); !strings.Contains(got, "X-Seen: GET a /x") {
		t.Errorf("%q", got)
	}
}

// TestDrain holds that the answer in flight comes, and idle connections end.
func TestDrain(t *testing.T) {
	inside, release := make(chan struct{}), make(chan struct{})
	p := newProxy(t, nil)
	p.cluster(staticCluster("up", backend(t, func(http.ResponseWriter, *http.Request) { close(inside); <-release }), ""))
	p.start(plainListener(""))
	idle, err := net.Dial("tcp", p.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer idle.Close()
	answer := make(chan int)
	go func() {
		rs, err := http.Get("http://" + p.addr + "/")
		if err != nil {
			answer <- 0
			return
		}
		rs.Body.Close()
		answer <- rs.StatusCode
	}()
	<-inside
	drained := make(chan error)
	go func() {
		p.Stop(0)
		drained <- p.Wait(t.Context())
	}()
	idle.SetReadDeadline(time.Now().Add(5 * time.Second))
	if _, err := idle.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("idle connection: %v", err)
	}
	close(release)
	if s := <-answer; s != 200 {
		t.Errorf("the answer in flight: %d", s)
	}
	if err := <-drained; err != nil {
		t.Error(err)
	}
	http.DefaultClient.CloseIdleConnections()
}
