package routing

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// request is one case.
type request struct {
	listener   int
	method     string
	host, path string
	headers    [][2]string
}

func (r *request) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s http://%s%s", r.method, r.host, r.path)
	for _, h := range r.headers {
		fmt.Fprintf(&b, " %s: %s;", h[0], h[1])
	}
	return b.String()
}

// request makes a random request to one of n hosts, or to names that overlap.
func (t table) request(listener, n int) *request {
	r := &request{listener: listener, method: t.one("GET", "GET", "HEAD", "DELETE"), host: fmt.Sprint("h", t.IntN(n), ".test"), path: t.path()}
	if t.chance(20) {
		r.host = t.one("x.test", "x.a.test", "x-a.test", "a.org", "a.b.org", "a.b.test", "A.B.TEST", "a.b.test:8080", "a.b.test:80", "none", "a.test", "-a.test")
	}
	if t.chance(20) {
		r.path += t.one("/", "//", "/x")
	}
	if t.chance(30) {
		r.path += t.one("?", "?p", "?p=a", "?p=b&q=5", "?q=15&p=ab", "?p=%61", "?pq=a", "?q=a?b")
	}
	for range t.IntN(4) {
		r.headers = append(r.headers, [2]string{t.field(), t.value()})
	}
	if t.chance(20) {
		r.headers = append(r.headers, [2]string{"Cookie", t.one("c=a", "d=b; c=ab", `c="a"; d=5`, "c", "c=; c=a")})
	}
	if t.chance(5) {
		r.headers = append(r.headers, [2]string{"Content-Type", t.one("application/grpc", "application/grpc+proto", "application/grpc-web")})
	}
	return r
}

func (r *request) http(port int) *http.Request {
	path, query, found := strings.Cut(r.path, "?")
	h := http.Header{"User-Agent": nil}
	for _, f := range r.headers {
		h.Add(f[0], f[1])
	}
	return &http.Request{Method: r.method, Host: r.host, Header: h,
		URL: &url.URL{Scheme: "http", Host: fmt.Sprint("127.0.0.1:", port), Opaque: path, RawQuery: query, ForceQuery: found}}
}
