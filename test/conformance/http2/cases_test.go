package http2

import (
	"fmt"
	"slices"
	"strings"

	xh2 "golang.org/x/net/http2"
)

var (
	get  = []string{":method: GET", ":scheme: http", ":authority: a.test", ":path: /x?y=z"}
	post = []string{":method: POST", ":scheme: http", ":authority: a.test", ":path: /x"}
)

func with(base []string, more ...string) []string { return append(slices.Clone(base), more...) }

// path puts another path into fields.
func path(base []string, p string) []string {
	out := slices.Clone(base)
	for i, f := range out {
		if strings.HasPrefix(f, ":path: ") {
			out[i] = ":path: " + p
		}
	}
	return out
}

func without(base []string, name string) []string {
	return slices.DeleteFunc(slices.Clone(base), func(f string) bool { return strings.HasPrefix(f, name+": ") })
}

// requests are what both programs are asked, in front of servers of HTTP/1.1 and
// HTTP/2 each.
func requests() []*request {
	l := []*request{
		{name: "GET", fields: get},
		{name: "HEAD", fields: with(without(get, ":method"), "x: y")[:0]},
		{name: "content", fields: post, body: []string{"one", "two"}},
		{name: "no content", fields: with(post, "content-length: 0")},
		{name: "declared content", fields: with(post, "content-length: 6"), body: []string{"one", "two"}},
		{name: "trailers", fields: with(post, "te: trailers"), body: []string{"one"}, trailers: []string{"x-end: yes"}},
		{name: "gRPC", fields: with(post, "content-type: application/grpc", "te: trailers"), body: []string{"\x00\x00\x00\x00\x00"}},
		{name: "cookies", fields: with(get, "cookie: a=1", "cookie: b=2")},
		{name: "repeated fields", fields: with(get, "x: 1", "y: 2", "x: 3")},
		{name: "Host alone", fields: with(without(get, ":authority"), "host: b.test")},
		{name: "Host the same", fields: with(get, "host: a.test")},
		{name: "scheme https", fields: with(without(get, ":scheme"), "x: y")[:0]},
		{name: "empty value", fields: with(get, "x: ")},
		{name: "obs-text", fields: with(get, "x: \xe9")},
		{name: "large field", fields: with(get, "x: "+strings.Repeat("y", 20000))},
		{name: "OPTIONS *", fields: []string{":method: OPTIONS", ":scheme: http", ":authority: a.test", ":path: *"}},
		{name: "not found", fields: path(get, "/none")},
		{name: "redirect", fields: path(get, "/redirect")},
		{name: "direct", fields: path(get, "/direct")},
		{name: "direct, as it should be, gRPC", fields: with(path(get, "/direct/ok"), "content-type: application/grpc")},
		{name: "direct, gRPC", fields: with(path(get, "/none"), "content-type: application/grpc")},
		{name: "no upstream", fields: path(get, "/nobody")},
		{name: "no upstream, gRPC", fields: with(path(get, "/nobody"), "content-type: application/grpc")},
		{name: "status 204", fields: path(get, "/status/204")},
		{name: "status 304", fields: path(get, "/status/304")},
		{name: "answer's trailers", fields: path(get, "/trailers")},
		{name: "upgrade by CONNECT", fields: []string{":method: CONNECT", ":protocol: websocket", ":scheme: http", ":authority: a.test", ":path: /x"}},
		{name: "x-forwarded", fields: with(get, "x-forwarded-for: 1.2.3.4", "x-forwarded-proto: https", "x-envoy-internal: true")},
		{name: "expect", fields: with(post, "expect: 100-continue"), body: []string{"x"}},
		{name: "content of GET", fields: get, body: []string{"x"}},
	}
	l[1].fields = with(without(get, ":method"))
	l[1].fields = append([]string{":method: HEAD"}, l[1].fields...)
	l[11].fields = []string{":method: GET", ":scheme: https", ":authority: a.test", ":path: /x"}
	for name, fields := range map[string][]string{
		"upper case": with(get, "X-A: b"), "connection": with(get, "connection: close"), "keep-alive": with(get, "keep-alive: 1"),
		"transfer-encoding": with(get, "transfer-encoding: chunked"), "upgrade": with(get, "upgrade: h2c"), "proxy-connection": with(get, "proxy-connection: x"),
		"te": with(get, "te: gzip"), "CR": with(get, "x: a\rb"), "LF": with(get, "x: a\nb"), "NUL": with(get, "x: a\x00b"), "space in name": with(get, "x y: b"),
		"no method": without(get, ":method"), "no scheme": without(get, ":scheme"), "no path": without(get, ":path"), "no authority": without(get, ":authority"),
		"empty path": path(get, ""), "path without slash": path(get, "x"), "absolute path": path(get, "http://b/"), "space in path": path(get, "/a b"),
		"control in path": path(get, "/a\x01b"), "byte above ASCII in path": path(get, "/\xe9"), "fragment": path(get, "/x#y"),
		"two paths": with(get, ":path: /y"), "unknown pseudo": with(get, ":x: y"), "pseudo after": append([]string{"x: y"}, get...),
		"status": with(get, ":status: 200"), "another Host": with(get, "host: b.test"), "two Hosts": with(get, "host: a.test", "host: a.test"),
		"userinfo": with(without(get, ":authority"), "host: u@a")[:0], "length": with(get, "content-length: x"), "two lengths": with(get, "content-length: 0", "content-length: 0"),
		"length without content": with(post, "content-length: 3"), "method with space": append([]string{":method: GET /"}, without(get, ":method")...),
		"unregistered method": append([]string{":method: BREW"}, without(get, ":method")...), "lower method": append([]string{":method: get"}, without(get, ":method")...),
		"CONNECT": {":method: CONNECT", ":authority: a.test:80"}, "CONNECT with a path": {":method: CONNECT", ":authority: a.test:80", ":path: /"},
		"space before value": with(get, "x:  a"), "space after value": with(get, "x: a "),
	} {
		if len(fields) == 0 {
			fields = []string{":method: GET", ":scheme: http", ":authority: u@a.test", ":path: /"}
		}
		l = append(l, &request{name: "bad: " + name, fields: fields})
	}
	l = append(l,
		&request{name: "bad: less content", fields: with(post, "content-length: 5"), body: []string{"x"}},
		&request{name: "bad: more content", fields: with(post, "content-length: 1"), body: []string{"xx"}},
		&request{name: "bad: trailer with pseudo", fields: post, body: []string{"x"}, trailers: []string{":path: /"}},
		&request{name: "bad: DATA first", raw: frame(xh2.FrameData, 0, 1, "x")},
		&request{name: "bad: even stream", raw: frame(xh2.FrameHeaders, xh2.FlagHeadersEndHeaders|xh2.FlagHeadersEndStream, 2, string(block(get)))},
		&request{name: "bad: HPACK", raw: frame(xh2.FrameHeaders, xh2.FlagHeadersEndHeaders|xh2.FlagHeadersEndStream, 1, "\xff\xff\xff\xff\xff\xff")},
		&request{name: "bad: large frame", raw: frame(xh2.FrameData, 0, 1, strings.Repeat("x", 20000))},
	)
	slices.SortFunc(l, func(a, b *request) int { return strings.Compare(a.name, b.name) })
	return l
}

// frame is a raw frame.
func frame(t xh2.FrameType, flags xh2.Flags, id uint32, payload string) []byte {
	n := len(payload)
	return fmt.Appendf([]byte{byte(n >> 16), byte(n >> 8), byte(n), byte(t), byte(flags), 0, 0, 0, byte(id)}, "%s", payload)
}
