package listener_test

import (
	"crypto/sha256"
	ctls "crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	proxytls "github.com/usher-mesh/usher/internal/proxy/tls"

	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
)

// speak are the settings of a cluster that says so.
func speak(config string) string {
	return `
typed_extension_protocol_options:
  envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
    "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
    ` + config
}

const (
	explicit2  = `explicit_http_config: {http2_protocol_options: {}}`
	downstream = `use_downstream_protocol_config: {http_protocol_options: {enable_trailers: true}, http2_protocol_options: {}}`
)

func only(http2 bool) *http.Protocols {
	p := new(http.Protocols)
	p.SetHTTP1(!http2)
	p.SetUnencryptedHTTP2(http2)
	p.SetHTTP2(http2)
	return p
}

// backend2 is a server in clear of HTTP/2, or of both.
func backend2(t testing.TB, both bool, h http.HandlerFunc) string {
	s := httptest.NewUnstartedServer(h)
	s.Config.Protocols = only(true)
	s.Config.Protocols.SetHTTP1(both)
	s.Start()
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

func client2(t testing.TB) *http.Client {
	c := client(t)
	c.Transport.(*http.Transport).Protocols = only(true)
	return c
}

// told answers with what came, and trailers; before that by 103.
func told(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Link", "early")
	w.WriteHeader(http.StatusEarlyHints)
	w.Header().Del("Link")
	w.Header().Set("Trailer", "X-Sum")
	w.Header().Set("X-Proto", r.Proto)
	w.Header().Set("X-Te", r.Header.Get("Te"))
	sum := sha256.New()
	n, err := io.Copy(sum, r.Body)
	w.(http.Flusher).Flush() // of unknown length
	if r.Method != "HEAD" {
		fmt.Fprintf(w, "%s %s%s %d %v %s ", r.Method, r.Host, r.URL, n, err, r.Trailer.Get("X-End"))
	}
	w.Header().Set("X-Sum", fmt.Sprintf("%x", sum.Sum(nil)))
}

// TestHTTP2 takes requests through every pair of protocols.
func TestHTTP2(t *testing.T) {
	const trailers = "http_protocol_options: {enable_trailers: true}"
	one, two, both := backend(t, told), backend2(t, false, told), backend2(t, true, told)
	for _, tt := range []struct {
		name, codec string
		http2       bool
		cluster     string
		proto       string
	}{
		{"1 to 1", trailers, false, staticCluster("up", one, trailers), "HTTP/1.1"},
		{"2 to 1", trailers, true, staticCluster("up", one, trailers), "HTTP/1.1"},
		{"1 to 2", trailers, false, staticCluster("up", two, speak(explicit2)), "HTTP/2.0"},
		{"2 to 2", "codec_type: HTTP2", true, staticCluster("up", two, speak(explicit2)), "HTTP/2.0"},
		{"1 as client", trailers, false, staticCluster("up", both, speak(downstream)), "HTTP/1.1"},
		{"2 as client", "", true, staticCluster("up", both, speak(downstream)), "HTTP/2.0"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newProxy(t, nil)
			p.cluster(tt.cluster)
			p.start(plainListener(tt.codec))
			c := client(t)
			if tt.http2 {
				c = client2(t)
			}
			for _, size := range []int{-1, 0, 1, 5000, 100_000, 3 << 20} {
				for _, trailers := range []bool{false, true} {
					content := strings.Repeat("x", max(size, 0))
					method, body := "POST", io.Reader(strings.NewReader(content))
					if size < 0 {
						method, body = "GET", nil
					} else if trailers {
						body = struct{ io.Reader }{body} // of unknown length
					}
					rq, _ := http.NewRequest(method, "http://"+p.addr+"/a?b=c", body)
					rq.Header.Set("Te", "trailers")
					want, end := fmt.Sprintf("%s %s/a?b=c %d <nil> ", method, p.addr, len(content)), ""
					if trailers && size >= 0 {
						rq.Trailer, end = http.Header{"X-End": {"yes"}}, "yes"
					}
					rs, err := c.Do(rq)
					if err != nil {
						t.Fatal(err)
					}
					b, err := io.ReadAll(rs.Body)
					rs.Body.Close()
					if rs.StatusCode != 200 || string(b) != want+end+" " || err != nil {
						t.Fatalf("%d bytes, trailers %v: %d %q %v", size, trailers, rs.StatusCode, b, err)
					}
					if got := rs.Trailer.Get("X-Sum"); got != fmt.Sprintf("%x", sha256.Sum256([]byte(content))) {
						t.Errorf("%d bytes, trailers %v: trailer %q", size, trailers, got)
					}
					if rs.Header.Get("X-Proto") != tt.proto || rs.Header.Get("X-Te") != "trailers" || (rs.ProtoMajor == 2) != tt.http2 {
						t.Errorf("%v %v", rs.Proto, rs.Header)
					}
				}
			}
			var early []string
			rq, _ := http.NewRequest("HEAD", "http://"+p.addr+"/", nil)
			rq = rq.WithContext(httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
				early = append(early, fmt.Sprint(code, h))
				return nil
			}}))
			rs, err := c.Do(rq)
			if err != nil || rs.StatusCode != 200 || rs.Header.Get("Link") != "" {
				t.Errorf("HEAD: %v %v", rs, err)
			}
			if got := strings.Join(early, " "); got != "103 map[Link:[early]]" {
				t.Errorf("before the answer: %q", got)
			}
		})
	}
}

// TestFilters2 holds that filters judge requests of HTTP/2 as they do others.
func TestFilters2(t *testing.T) {
	p := guarded(t)
	c := client2(t)
	for _, tt := range []struct {
		do, contentType, body string
		status                int
		header                map[string]string
	}{
		{"", "", "Jwt is missing", 401, map[string]string{"Content-Type": "text/plain", "Www-Authenticate": "Bearer", "X-Encoded": "yes", "Content-Length": "14"}},
		{"", "application/grpc", "", 200, map[string]string{"Grpc-Status": "16", "Grpc-Message": "Jwt is missing", "Content-Type": "application/grpc"}},
		{"pass", "", "4 bytes", 200, map[string]string{"X-Encoded": "yes"}},
		{"reroute", "", "b", 202, nil},
		{"inject", "", "upstream connect error or disconnect/reset before headers. reset reason: protocol error", 502, nil},
	} {
		rq, _ := http.NewRequest("POST", "http://"+p.addr+"/", strings.NewReader("body"))
		if tt.do != "" {
			rq.Header.Set("X-Do", tt.do)
		}
		rq.Header.Set("Content-Type", tt.contentType)
		rs, err := c.Do(rq)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(rs.Body)
		rs.Body.Close()
		if rs.StatusCode != tt.status || string(b) != tt.body || err != nil {
			t.Errorf("%q: %d %q %v", tt.do, rs.StatusCode, b, err)
		}
		for k, v := range tt.header {
			if rs.Header.Get(k) != v {
				t.Errorf("%q: %s: %q, want %q", tt.do, k, rs.Header.Get(k), v)
			}
		}
	}
}

// TestALPN agrees on HTTP/2 in TLS with a client, and with an upstream.
func TestALPN(t *testing.T) {
	a := newAuthority(t)
	s := newSecrets(a, a.issue(t, uriB, time.Now().Add(time.Hour)))
	for codec, want := range map[string]string{"AUTO": "h2", "HTTP2": "h2", "HTTP1": "http/1.1"} {
		in := newProxy(t, s)
		in.cluster(staticCluster("up", backend(t, told), ""))
		text := strings.ReplaceAll(inbound("STRICT"), "[istio, http/1.1]", "[h2, http/1.1]")
		in.start(strings.ReplaceAll(text, "stat_prefix: test", "stat_prefix: test\n      codec_type: "+codec))
		tr := &http.Transport{Protocols: new(http.Protocols), TLSClientConfig: &ctls.Config{InsecureSkipVerify: true,
			GetClientCertificate: func(*ctls.CertificateRequestInfo) (*ctls.Certificate, error) {
				return s.Certificate(proxytls.OwnCertificate)
			}}}
		tr.Protocols.SetHTTP1(true)
		tr.Protocols.SetHTTP2(true)
		t.Cleanup(tr.CloseIdleConnections)
		rs, err := (&http.Client{Transport: tr}).Get("https://" + in.addr + "/")
		if err != nil {
			t.Fatal(codec, err)
		}
		io.Copy(io.Discard, rs.Body)
		rs.Body.Close()
		if rs.StatusCode != 200 || rs.TLS.NegotiatedProtocol != want {
			t.Errorf("%s: %d %q", codec, rs.StatusCode, rs.TLS.NegotiatedProtocol)
		}
	}
	for _, tt := range []struct {
		cluster string
		http2   bool // the upstream's
		want    string
	}{
		{explicit2, true, "HTTP/2.0"}, {"auto_config: {}", true, "HTTP/2.0"}, {"auto_config: {}", false, "HTTP/1.1"},
		{"explicit_http_config: {http_protocol_options: {}}", true, "HTTP/1.1"},
	} {
		var conns atomic.Int32
		up := httptest.NewUnstartedServer(http.HandlerFunc(told))
		up.EnableHTTP2 = tt.http2
		up.Config.ConnState = func(_ net.Conn, state http.ConnState) {
			if state == http.StateNew {
				conns.Add(1)
			}
		}
		up.StartTLS()
		t.Cleanup(up.Close)
		out := newProxy(t, nil)
		out.cluster(staticCluster("up", up.Listener.Addr().String(), speak(tt.cluster)+`
transport_socket: {name: tls, typed_config: {"@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext, common_tls_context: {}}}`))
		out.start(plainListener(""))
		c := client(t)
		for range 5 {
			rs, err := c.Get("http://" + out.addr + "/")
			if err != nil || rs.Header.Get("X-Proto") != tt.want {
				t.Fatalf("%v: %v %v", tt, rs, err)
			}
			io.Copy(io.Discard, rs.Body)
			rs.Body.Close()
		}
		if n := conns.Load(); n != 1 {
			t.Errorf("%v: %d connections", tt, n)
		}
	}
}

// TestMesh2 takes HTTP/2 from sidecar to sidecar over mutual TLS.
func TestMesh2(t *testing.T) {
	a := newAuthority(t)
	soon := time.Now().Add(time.Hour)
	in := newProxy(t, newSecrets(a, a.issue(t, uriB, soon)))
	in.cluster(staticCluster("up", backend2(t, true, told), speak(downstream)))
	in.start(inbound("STRICT"))
	out := newProxy(t, newSecrets(a, a.issue(t, uriA, soon)))
	out.cluster(istio(mtlsCluster(in.addr, uriB)) + speak(downstream))
	out.start(plainListener(""))
	for proto, c := range map[string]*http.Client{"HTTP/1.1": client(t), "HTTP/2.0": client2(t)} {
		rs, err := c.Post("http://"+out.addr+"/", "text/plain", strings.NewReader("x"))
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(rs.Body)
		rs.Body.Close()
		if rs.StatusCode != 200 || rs.Header.Get("X-Proto") != proto {
			t.Errorf("%d %s: %s", rs.StatusCode, rs.Header.Get("X-Proto"), b)
		}
	}
}

// TestSwap2 holds that policy takes effect on connections that are open: on their next
// request, and on those that may not go on.
func TestSwap2(t *testing.T) {
	a := newAuthority(t)
	in := newProxy(t, newSecrets(a, a.issue(t, uriB, time.Now().Add(time.Hour))))
	begun, release := newEvent(), make(chan struct{})
	in.cluster(staticCluster("up", backend(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			begun.set()
			<-release
		}
	}), ""))
	in.start(inbound("PERMISSIVE"))
	c := client2(t)
	get := func(path string) (int, error) {
		rs, err := c.Get("http://" + in.addr + path)
		if err != nil {
			return 0, err
		}
		rs.Body.Close()
		return rs.StatusCode, nil
	}
	if s, err := get("/"); s != 200 {
		t.Fatal(s, err)
	}
	direct := strings.Replace(inbound("PERMISSIVE"), "{match: {prefix: /}, route", "{match: {prefix: /slow}, route: {cluster: up}}, {match: {prefix: /}, route", -1)
	direct = strings.Replace(direct, "{match: {prefix: /}, route: {cluster: up}}", "{match: {prefix: /}, direct_response: {status: 418}}", -1)
	if err := in.Swap(in.compile(direct)); err != nil {
		t.Fatal(err)
	}
	if s, err := get("/"); s != 418 {
		t.Fatal("policy is not in force on the open connection", s, err)
	}
	slow := make(chan error, 1)
	go func() {
		s, err := get("/slow")
		if err == nil && s != 200 {
			err = fmt.Errorf("status %d", s)
		}
		slow <- err
	}()
	begun.wait(t, "the request in flight")
	if err := in.Swap(in.compile(inbound("STRICT"))); err != nil {
		t.Fatal(err)
	}
	if s, err := get("/"); err == nil {
		t.Errorf("STRICT answers in clear: %d", s)
	}
	close(release)
	if err := <-slow; err != nil {
		t.Errorf("the request in flight: %v", err)
	}
}
