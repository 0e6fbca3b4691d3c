package beside

import (
	"cmp"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/usher-mesh/usher/internal/proxy/proxytest"
)

// Serve serves in clear on a port of its own until the test ends.
func Serve(t testing.TB, h http.Handler, http2 bool) (port int) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: h, Protocols: new(http.Protocols)}
	s.Protocols.SetHTTP1(!http2)
	s.Protocols.SetUnencryptedHTTP2(http2)
	go s.Serve(ln)
	t.Cleanup(func() { s.Close() })
	return ln.Addr().(*net.TCPAddr).Port
}

// ServeTCP serves connections on a port of its own until the test ends.
func ServeTCP(t testing.TB, handle func(net.Conn)) (port int) {
	t.Helper()
	at := proxytest.Serve(t, func(_ int, c net.Conn) { handle(c) })
	return int(netip.MustParseAddrPort(at).Port())
}

// Page gives a page of a program's administration interface.
func Page(t testing.TB, admin int, path string) (status int, text string) {
	t.Helper()
	rs, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d%s", admin, path))
	if err != nil {
		t.Fatal(err)
	}
	defer rs.Body.Close()
	b, err := io.ReadAll(rs.Body)
	if err != nil {
		t.Fatal(err)
	}
	return rs.StatusCode, string(b)
}

// SameList compares two lists in any order, and tells of the first element that differs.
func SameList(t testing.TB, what string, envoy, usher []string) {
	t.Helper()
	slices.Sort(envoy)
	slices.Sort(usher)
	at := func(list []string, k int) string {
		if k < len(list) {
			return list[k]
		}
		return ""
	}
	for k := range max(len(envoy), len(usher)) {
		if e, u := at(envoy, k), at(usher, k); e != u {
			t.Errorf("%s %d of %d and %d:\nEnvoy: %s\nusher: %s", what, k, len(envoy), len(usher), e, u)
			return
		}
	}
}

// ServeGRPC serves what is registered on a port of its own until the test ends.
func ServeGRPC(t testing.TB, register func(*grpc.Server)) (port int) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer()
	register(s)
	go s.Serve(ln)
	t.Cleanup(s.Stop)
	return ln.Addr().(*net.TCPAddr).Port
}

// Ask is a request to a.test.
type Ask struct {
	Method, Path, Body string // by default GET /
	Header             []string
	HTTP2              bool
	TLS                *tls.Config // nil: in clear
}

// Send sends it on a connection of its own. An error of the body comes with the rest.
func (a *Ask) Send(port int) (*http.Response, []byte, error) {
	var body io.Reader
	if a.Body != "" {
		body = strings.NewReader(a.Body)
	}
	scheme := "http"
	if a.TLS != nil {
		scheme = "https"
	}
	rq, err := http.NewRequest(cmp.Or(a.Method, "GET"), fmt.Sprintf("%s://127.0.0.1:%d%s", scheme, port, cmp.Or(a.Path, "/")), body)
	if err != nil {
		return nil, nil, err
	}
	rq.Host = "a.test"
	rq.Header.Set("User-Agent", "u")
	for _, h := range a.Header {
		name, value, _ := strings.Cut(h, ": ")
		rq.Header.Add(name, value)
	}
	tr := &http.Transport{DisableCompression: true, DisableKeepAlives: true, ResponseHeaderTimeout: 20 * time.Second, Protocols: new(http.Protocols), TLSClientConfig: a.TLS.Clone()}
	tr.Protocols.SetHTTP1(!a.HTTP2)
	tr.Protocols.SetUnencryptedHTTP2(a.HTTP2 && a.TLS == nil)
	tr.Protocols.SetHTTP2(a.HTTP2 && a.TLS != nil)
	rs, err := tr.RoundTrip(rq)
	if err != nil {
		return nil, nil, err
	}
	defer rs.Body.Close()
	b, err := io.ReadAll(rs.Body)
	return rs, b, err
}

// Fields gives a header's fields in order, less those that depend on the time and those
// named, in their canonical form.
func Fields(h http.Header, less ...string) []string {
	var lines []string
	for k, v := range h {
		if k != "Date" && k != "X-Envoy-Upstream-Service-Time" && !slices.Contains(less, k) {
			lines = append(lines, fmt.Sprintf("%s: %q", k, v))
		}
	}
	slices.Sort(lines)
	return lines
}

// Told is what an upstream answers that tells what it got, less the fields named.
func Told(r *http.Request, less ...string) string {
	body, _ := io.ReadAll(r.Body)
	lines := Fields(r.Header, less...)
	for i := range lines {
		lines[i] = "got " + lines[i]
	}
	return fmt.Sprintf("%s %s %s %q\n%s\n", r.Method, r.Host, r.RequestURI, body, strings.Join(lines, "\n"))
}
