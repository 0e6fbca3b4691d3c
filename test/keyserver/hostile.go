// Package keyserver has servers of key sets for tests: an issuer that rotates, and
// servers that do what none should, each with what is to be said of it.
package keyserver

import (
	"bytes"
	"compress/gzip"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// Hostile is a server that must be refused.
type Hostile struct {
	Name    string
	Handler http.HandlerFunc
	Expired bool   // its certificate is
	Says    string // a part of the error
	Reason  string // its class in metrics
}

// HostileServers gives them all. What they serve as a key set, where they do, is
// good; plain is an http:// address that a redirect may lead to.
func HostileServers(good []byte, plain string) []Hostile {
	return append(append(badBytes(good), badSets()...), []Hostile{
		{Name: "redirect loop", Says: "more than 3 redirects", Reason: "redirect",
			Handler: func(w http.ResponseWriter, rq *http.Request) { http.Redirect(w, rq, rq.URL.Path, http.StatusFound) }},
		{Name: "redirect to http", Says: "https leads to http", Reason: "redirect",
			Handler: func(w http.ResponseWriter, rq *http.Request) { http.Redirect(w, rq, plain, http.StatusFound) }},
		{Name: "redirect to a file", Says: `scheme "file" is neither http nor https`, Reason: "redirect",
			Handler: func(w http.ResponseWriter, rq *http.Request) {
				http.Redirect(w, rq, "file:///etc/passwd", http.StatusFound)
			}},
		{Name: "error status", Says: "answers 500, not 200", Reason: "status",
			Handler: func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusInternalServerError) }},
		{Name: "304 unasked", Says: "answers 304, not 200", Reason: "status",
			Handler: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotModified) }},
		{Name: "expired TLS", Says: "x509: certificate has expired or is not yet valid: it is good from 20", Reason: "tls", Expired: true,
			Handler: serve(good)},
	}...)
}

// badBytes break or abuse HTTP itself.
func badBytes(good []byte) []Hostile {
	bomb := zipped(bytes.Repeat([]byte(" "), 16<<20))
	return []Hostile{
		{Name: "endless body", Says: "the answer is bigger than 1048576 bytes", Reason: "size",
			Handler: func(w http.ResponseWriter, rq *http.Request) {
				for rq.Context().Err() == nil {
					if _, err := w.Write(bytes.Repeat([]byte(" "), 4096)); err != nil {
						return
					}
				}
			}},
		{Name: "slow bytes", Says: "no whole answer in time", Reason: "timeout", Handler: slow},
		{Name: "silence", Says: "time", Reason: "timeout",
			Handler: func(_ http.ResponseWriter, rq *http.Request) { <-rq.Context().Done() }},
		{Name: "hangs up", Says: "EOF", Reason: "http", Handler: raw("")},
		{Name: "reset", Says: "connection reset by peer", Reason: "connect", Handler: reset},
		{Name: "no HTTP", Says: "malformed HTTP", Reason: "http", Handler: raw("220 smtp.example.com\r\n\r\n")},
		{Name: "length too big", Says: "the answer cannot be read: unexpected EOF", Reason: "http",
			Handler: func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Length", "100000")
				_, _ = w.Write(good)
			}},
		{Name: "length too small", Says: "the answer is not a JSON object", Reason: "content",
			Handler: raw("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n" + string(good))},
		{Name: "gzip bomb", Says: "the answer is bigger than 1048576 bytes", Reason: "size",
			Handler: func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Encoding", "gzip")
				_, _ = w.Write(bomb)
			}},
		{Name: "huge headers", Says: "headers exceeded", Reason: "http",
			Handler: func(w http.ResponseWriter, _ *http.Request) {
				for i := range 1024 {
					w.Header().Set(fmt.Sprint("X-", i), strings.Repeat("x", 1024))
				}
				_, _ = w.Write(good)
			}},
	}
}

// badSets answer 200 with what is no usable key set.
func badSets() []Hostile {
	many := make([]string, 10000)
	for i := range many {
		many[i] = fmt.Sprintf(`{"kid":"%d"}`, i)
	}
	// About as long as an answer may be.
	modulus := base64.RawURLEncoding.EncodeToString(bytes.Repeat([]byte{0xff}, 768<<10))[:1048000]
	return []Hostile{
		{Name: "HTML", Says: "the answer is HTML or XML, not a key set", Reason: "content", Handler: serve([]byte("<!doctype html><p>Please log in"))},
		{Name: "10,000 keys", Says: "the key set has 10000 keys, more than 256", Reason: "content",
			Handler: serve([]byte(`{"keys":[` + strings.Join(many, ",") + `]}`))},
		{Name: "modulus of 1 MiB", Says: "RSA modulus has 6288000 bits, more than 8192", Reason: "content",
			Handler: serve([]byte(`{"keys":[{"kty":"RSA","e":"AQAB","n":"` + modulus + `"}]}`))},
		{Name: "deep JSON", Says: "not a JSON object", Reason: "content", Handler: serve(bytes.Repeat([]byte(`{"keys":`), 100000))},
		{Name: "only symmetric", Says: "symmetric keys may not come from the network", Reason: "content",
			Handler: serve([]byte(`{"keys":[{"kty":"oct","k":"` + Secret + `"}]}`))},
		{Name: "no keys", Says: "the key set is empty", Reason: "content", Handler: serve([]byte(`{"keys":[]}`))},
		{Name: "empty", Says: "the answer is empty, not a key set", Reason: "content", Handler: serve(nil)},
	}
}

// Secret is a symmetric key that a server gives out, which nobody may repeat.
const Secret = "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3I"

func serve(body []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(body) }
}

func zipped(content []byte) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write(content); err != nil {
		panic(err) // a buffer takes anything
	}
	if err := z.Close(); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// raw answers with exactly these bytes and hangs up.
func raw(answer string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		c, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			panic(err) // the test's server can
		}
		defer c.Close()
		_, _ = io.WriteString(c, answer)
	}
}

// reset breaks the connection off.
func reset(w http.ResponseWriter, _ *http.Request) {
	c, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		panic(err) // the test's server can
	}
	if t, ok := c.(*tls.Conn); ok {
		_ = t.NetConn().(*net.TCPConn).SetLinger(0)
		_ = t.NetConn().Close()
	}
}

// slow sends a byte at a time for as long as the client stays.
func slow(w http.ResponseWriter, rq *http.Request) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-rq.Context().Done():
			return
		case <-tick.C:
			_, _ = w.Write([]byte("{"))
			w.(http.Flusher).Flush()
		}
	}
}
