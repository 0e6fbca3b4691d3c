package upstream

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/http1"
	"github.com/usher-mesh/usher/internal/proxy/proxytest"
)

const over2 = `, typed_extension_protocol_options: {envoy.extensions.upstreams.http.v3.HttpProtocolOptions: {"@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions, explicit_http_config: {http2_protocol_options: {}}}}`

// at makes a cluster of endpoints.
func at(t testing.TB, http2 bool, addrs ...string) *Cluster {
	t.Helper()
	more := ""
	if http2 {
		more = over2
	}
	c := cluster(t, "{name: c, type: EDS, connect_timeout: 1s, eds_cluster_config: {eds_config: {ads: {}}}"+more+"}")
	var ports []string
	for _, a := range addrs {
		_, port, _ := net.SplitHostPort(a)
		ports = append(ports, port)
	}
	set(t, c, strings.Join(ports, " "))
	return c
}

func serve(t testing.TB, http2 bool, h http.HandlerFunc) *httptest.Server {
	s := httptest.NewUnstartedServer(h)
	s.Config.Protocols = new(http.Protocols)
	s.Config.Protocols.SetHTTP1(!http2)
	s.Config.Protocols.SetUnencryptedHTTP2(http2)
	s.Start()
	t.Cleanup(s.Close)
	return s
}

func post(major int) *exchange.Request {
	return &exchange.Request{Method: "POST", Authority: "a.test", Path: "/p", ProtoMajor: major}
}

// TestCall goes to all endpoints, keeps connections, and finds new endpoints.
func TestCall(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		var conns, from [2]atomic.Int64
		var servers [2]*httptest.Server
		for i := range servers {
			s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				from[i].Add(1)
				b, _ := io.ReadAll(r.Body)
				w.WriteHeader(http.StatusEarlyHints)
				w.Header().Set("Trailer", "X-End")
				w.WriteHeader(201)
				fmt.Fprintf(w, "%s %s %s", r.Host, r.RequestURI, b)
				w.Header().Set("X-End", "over")
			}))
			s.Config.Protocols = new(http.Protocols)
			s.Config.Protocols.SetHTTP1(!http2)
			s.Config.Protocols.SetUnencryptedHTTP2(http2)
			s.Config.ConnState = func(_ net.Conn, st http.ConnState) {
				if st == http.StateNew {
					conns[i].Add(1)
				}
			}
			s.Start()
			t.Cleanup(s.Close)
			servers[i] = s
		}
		c := at(t, http2, servers[0].Listener.Addr().String(), servers[1].Listener.Addr().String())
		ask := func() {
			t.Helper()
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			a, err := c.Call(ctx, post(2), []byte("abc"), 100)
			if err != nil || a.Status != 201 || string(a.Body) != "a.test /p abc" || http2 && a.Trailer.Get("x-end") != "over" {
				t.Fatalf("%+v %v", a, err)
			}
		}
		for range 20 {
			ask()
		}
		for i := range from {
			if from[i].Load() < 5 || conns[i].Load() != 1 {
				t.Errorf("endpoint %d: %d requests, %d connections", i, from[i].Load(), conns[i].Load())
			}
		}
		// The connection dies; the endpoint stays.
		servers[0].CloseClientConnections()
		for range 4 {
			ask()
		}
		_, port, _ := net.SplitHostPort(servers[1].Listener.Addr().String())
		set(t, c, port)
		was := from[1].Load()
		for range 4 {
			ask()
		}
		if from[1].Load() != was+4 {
			t.Error("an endpoint that is gone is asked")
		}
		if n := c.breakers[Default].active.Load(); n != 0 {
			t.Errorf("%d requests are still counted", n)
		}
	}
}

// TestCallHostile: servers that hang, break off, or send too much.
func TestCallHostile(t *testing.T) {
	for name, s := range map[string]struct {
		says func(c net.Conn)
		want error
	}{
		"hangs": {func(c net.Conn) { io.Copy(io.Discard, c) }, context.DeadlineExceeded},
		"stops": {func(c net.Conn) {
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab")
			io.Copy(io.Discard, c)
		}, context.DeadlineExceeded},
		"breaks off": {func(c net.Conn) { io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab") }, http1.ErrTruncated},
		"too large":  {func(c net.Conn) { io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n01234567890") }, ErrTooLarge},
		"endless": {func(c net.Conn) {
			io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\n")
			for {
				if _, err := io.WriteString(c, "0123456789"); err != nil {
					return
				}
			}
		}, ErrTooLarge},
		"huge head": {func(c net.Conn) { io.WriteString(c, "HTTP/1.1 200 OK\r\nA: "+strings.Repeat("a", 1<<20)) }, nil},
		"bad name":  {func(c net.Conn) { io.WriteString(c, "HTTP/1.1 200 OK\r\nA b: c\r\nContent-Length: 0\r\n\r\n") }, nil},
		"bad value": {func(c net.Conn) { io.WriteString(c, "HTTP/1.1 200 OK\r\nA: b\x00c\r\nContent-Length: 0\r\n\r\n") }, nil},
		"switches": {func(c net.Conn) {
			io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n")
		}, nil},
		"interim": {func(c net.Conn) {
			for {
				if _, err := io.WriteString(c, "HTTP/1.1 103 Early Hints\r\n\r\n"); err != nil {
					return
				}
			}
		}, nil},
		"silent": {func(net.Conn) {}, nil},
	} {
		addr := proxytest.Serve(t, func(_ int, c net.Conn) {
			if _, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
				s.says(c)
			}
		})
		c := at(t, false, addr)
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		a, err := c.Call(ctx, post(1), nil, 10)
		cancel()
		if err == nil || s.want != nil && !errors.Is(err, s.want) {
			t.Errorf("%s: %+v %v", name, a, err)
		}
		if n := c.breakers[Default].active.Load(); n != 0 {
			t.Errorf("%s: %d requests are still counted", name, n)
		}
	}
	// Who asked has left.
	addr := proxytest.Serve(t, func(_ int, c net.Conn) { io.Copy(io.Discard, c) })
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(20*time.Millisecond, cancel)
	if _, err := at(t, false, addr).Call(ctx, post(1), nil, 10); err == nil {
		t.Error("answered")
	}
}

func message(b string) string {
	return string(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(b)))) + b
}

// TestUnary: what is an answer of gRPC, and what is not.
func TestUnary(t *testing.T) {
	for name, s := range map[string]struct {
		status           int
		kind, grpc, body string
		want             codes.Code
	}{
		"good":       {200, "application/grpc", "0", message("\x0a\x01x"), codes.OK},
		"refused":    {200, "application/grpc+proto", "7", "", codes.PermissionDenied},
		"no status":  {200, "application/grpc", "", message(""), codes.Unknown},
		"bad status": {200, "application/grpc", "x", message(""), codes.Unknown},
		"other kind": {200, "text/plain", "0", message(""), codes.Unknown},
		"HTTP":       {503, "application/grpc", "0", message(""), codes.Unknown},
		"nothing":    {200, "application/grpc", "0", "", codes.Internal},
		"two":        {200, "application/grpc", "0", message("") + message(""), codes.Internal},
		"short":      {200, "application/grpc", "0", "\x00\x00\x00\x00\x05ab", codes.Internal},
		"compressed": {200, "application/grpc", "0", "\x01\x00\x00\x00\x00", codes.Internal},
		"malformed":  {200, "application/grpc", "0", message("\x0a\x05x"), codes.Internal},
		"too large":  {200, "application/grpc", "0", strings.Repeat("x", maxMessage+prefix+1), codes.ResourceExhausted},
	} {
		srv := serve(t, true, func(w http.ResponseWriter, r *http.Request) {
			b, _ := io.ReadAll(r.Body)
			if r.URL.Path != "/s/M" || r.Header.Get("Te") != "trailers" || r.Header.Get("Grpc-Timeout") == "" || r.Header.Get("A") != "b" || string(b) != message("\x0a\x01q") {
				w.WriteHeader(500)
				return
			}
			w.Header().Set("Content-Type", s.kind)
			if s.body != "" {
				w.Header().Set("Trailer", "Grpc-Status")
			}
			if s.grpc != "" {
				defer w.Header().Set("Grpc-Status", s.grpc)
			}
			if s.body == "" && s.grpc != "" {
				w.Header().Set("Grpc-Status", s.grpc)
			}
			w.WriteHeader(s.status)
			io.WriteString(w, s.body)
		})
		u := &Unary{Path: "/s/M", Authority: "a", Timeout: 5 * time.Second, Metadata: []exchange.Field{{Name: "a", Value: "b"}}}
		var out wrapperspb.StringValue
		err := u.Invoke(t.Context(), at(t, true, srv.Listener.Addr().String()), wrapperspb.String("q"), &out)
		if status.Code(err) != s.want || err == nil && out.Value != "x" {
			t.Errorf("%s: %v %q", name, err, out.Value)
		}
	}
	u := &Unary{Path: "/s/M", Authority: "a", Timeout: 50 * time.Millisecond}
	hung := proxytest.Serve(t, func(_ int, c net.Conn) { io.Copy(io.Discard, c) })
	if err := u.Invoke(t.Context(), at(t, true, hung), wrapperspb.String("q"), &wrapperspb.StringValue{}); status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("a server that hangs: %v", err)
	}
	dead := at(t, true)
	for name, c := range map[string]*Cluster{"no cluster": nil, "no endpoint": dead, "HTTP/1.1": at(t, false, proxytest.Answering(t, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"))} {
		if err := u.Invoke(t.Context(), c, wrapperspb.String("q"), &wrapperspb.StringValue{}); err == nil {
			t.Errorf("%s: answered", name)
		}
	}
}
