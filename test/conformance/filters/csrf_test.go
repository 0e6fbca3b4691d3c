package filters

import (
	"strings"
	"testing"
)

// TestCSRF: which methods are judged, and what becomes of origins that no browser sends.
func TestCSRF(t *testing.T) {
	const typ = "'@type': type.googleapis.com/envoy.extensions.filters.http.csrf.v3.CsrfPolicy, "
	const (
		on   = "filter_enabled: {default_value: {numerator: 100}}"
		off  = "filter_enabled: {default_value: {numerator: 0}}"
		dark = ", shadow_enabled: {default_value: {numerator: 100}, runtime_key: k}"
		more = ", additional_origins: [{exact: 'b.test'}, {suffix: .c.test}, {safe_regex: {regex: 'd[0-9]\\.test:8443'}}, {exact: E.TEST, ignore_case: true}, {exact: 'null'}]"
	)
	posts := func(headers ...string) (asks []ask) {
		for _, h := range headers {
			var fields []string
			if h != "" {
				fields = strings.Split(h, "\n")
			}
			asks = append(asks, ask{method: "POST", body: "x", header: fields})
		}
		return asks
	}
	var methods []ask
	for _, m := range []string{"GET", "HEAD", "OPTIONS", "POST", "PUT", "DELETE", "PATCH", "TRACE", "post"} {
		methods = append(methods, ask{method: m, header: []string{"Origin: http://evil.test"}}, ask{method: m, header: []string{"Origin: http://a.test"}}, ask{method: m})
	}
	grpc := ask{method: "POST", header: []string{"content-type: application/grpc", "Origin: http://evil.test"}}
	var hostile []string
	for _, o := range []string{
		"http://a.test", "https://a.test", "x://a.test", "http://A.test", "http://a.test.", "http://a.test:80", "http://a.test:", "http://a.test:0", "http://a.test:65535", "http://a.test:65536",
		"http://a.test:00000000000000000080", "http://a.test:-1", "http://a.test:8o", "http://a.test:99999999999999999999", "null", "NULL", "", " ", "a.test", "//a.test", "/a.test", "*", "*a.test",
		"http:", "http:/", "http://", "http:///", "http:///a.test", "http:a.test", "http:/a.test", "://a.test", "file://", "chrome-extension://a.test", "h2://a.test", "1://a.test", "-h://a.test", "h+.-1://a.test", "h_://a.test", "http://a.test/", "http://a.test/x?y#z",
		"http://a.test?x", "http://a.test?x??y##z", "http://a.test/#", "http://a.test#x", "http://a.test/x y", "http://a.test/x\ty", "http://a.test/\u00e4", "http://a.test?\u00e4", "http://\u00e4.test", "http://a.test\u00e4",
		"http://u@a.test", "http://u:p@a.test", "http://@a.test", "http://:@a.test", "http://u@v@a.test", "http://u@@a.test", "http://a.test@evil.test", "http://a.test:80@evil.test", "http://[u@a.test", "http://u_%41;&=+$,-.!~*'()@a.test",
		"http://u/@a.test", "http://u\"@a.test", "http://evil.test/@a.test", "http://evil.test?a.test", "http://evil.test/http://a.test", "http://evil.test\\a.test", "http://evil.test\\@a.test", "http://a.test,http://evil.test",
		"http://a.test http://evil.test", "http://a_b.test", "http://a%2etest", "http://a.test%00", "http://.", "http://-", "http://a..test", "http://[::1]", "http://[::1]:80", "http://[::1", "http://[::1]x", "http://[]", "http://[1.2.3.4]",
		"http://[a.test]", "http://[::ffff:1.2.3.4]", "http://[fe80::1%25eth0]", "http://[fe80::1%eth0]:8", "http://::1", "http://1.2.3.4", "http://b.test", "https://b.test", "b.test", "http://b.test:80", "http://x.c.test", "http://.c.test",
		"http://c.test", "http://evil.test/.c.test", "http://evil.test?.c.test", "http://u@x.c.test", "http://d1.test:8443", "http://dd.test:8443", "http://xd1.test:8443", "http://d1.test:84430", "http://e.test", "HTTP://e.test",
		"http://evil_x.c.test", "chrome-extension://x.c.test", strings.Repeat("a", 10000), "http://" + strings.Repeat("a", 10000), "http://a.test/" + strings.Repeat("a", 10000),
	} {
		hostile = append(hostile, "Origin: "+o)
	}
	for _, r := range []string{"http://a.test", "http://a.test/x?y", "http://a.test/#", "http://u@a.test/", "http://a.test/x@y", "http://@a.test", "http://evil.test/a.test", "a.test", "null", "/a.test", "http://a.test:80",
		"http://evil_x.c.test", "http://x.c.test/\u00e4", "http://x.c.test/x", "http://a.test:", "", "chrome-extension://a.test", "http://evil_x.test/.c.test", "a.test/x", "b.test", "mailto:b.test", "b.test#x", "b.test x", "http://a.test/##", "http://a.test?u@v", "http://a.test?#", "http://u:@a.test"} {
		hostile = append(hostile, "Referer: "+r)
	}
	hostile = append(hostile, "", "Origin: null\nReferer: http://a.test", "Origin: \nReferer: http://a.test", "Origin: evil.test\nReferer: http://a.test", "Origin: http://evil.test\nReferer: http://a.test",
		"Origin: http://a.test\nOrigin: http://a.test", "Origin: http://a.test\nOrigin: http://evil.test", "Origin: null\nOrigin: null", "Origin: \nOrigin: ", "Origin: \nOrigin: null", "Referer: http://evil.test/\nReferer: http://a.test/",
		strings.Repeat("Origin: http://a.test\n", 50)+"Origin: http://a.test")
	judged := func(name, fields string, asks []ask) *world {
		return &world{name: name, filters: "[{name: m, typed_config: {" + typ + fields + "}}]", asks: asks, counters: []string{"envoy_http_csrf_"}}
	}
	routes := judged("routes", on, []ask{})
	routes.host = "typed_per_filter_config: {m: {" + typ + on + ", additional_origins: [{exact: host.test}]}}"
	routes.routes = "[{match: {prefix: /own}, route: {cluster: up}, typed_per_filter_config: {m: {" + typ + on + ", additional_origins: [{exact: own.test}]}}}, " +
		"{match: {prefix: /off}, route: {cluster: up}, typed_per_filter_config: {m: {" + typ + off + "}}}, " +
		"{match: {prefix: /dark}, route: {cluster: up}, typed_per_filter_config: {m: {" + typ + off + dark + "}}}, {match: {prefix: /}, route: {cluster: up}}]"
	for _, p := range []string{"/", "/own", "/off", "/dark"} {
		for _, o := range []string{"a.test", "host.test", "own.test", "evil.test"} {
			routes.asks = append(routes.asks, ask{method: "PUT", path: p, header: []string{"Origin: http://" + o}})
		}
		routes.asks = append(routes.asks, ask{method: "PUT", path: p})
	}
	var path, apart []ask
	for _, a := range posts("Origin: http://evil_x.test/.c.test", "Origin: http://evil.test\nOrigin: http://x.c.test") {
		a.differs = "an Origin that is no URL, but has a path, is not compared with additional_origins: who is not allowed could name there what is"
		path = append(path, a)
	}
	for _, a := range posts("Origin: \nOrigin: http://a.test", "Origin: http://a.test\nOrigin: ", "Referer: http://a.test/\nReferer: http://evil.test/") {
		a.differs = "several fields of a name go on as they came"
		apart = append(apart, a)
	}
	compare(t, []*world{
		judged("methods", on, append(methods, grpc)),
		judged("off", off, methods),
		judged("dark", off+dark+more, append(methods, posts("", "Origin: null", "Origin: http://b.test", "Origin: http://evil.test", "Origin: http://a.test\u00e4", "Referer: http://b.test/")...)),
		judged("both", on+dark, methods),
		judged("plain", on, posts("", "Origin: null", "Origin: a.test", "Origin: http://a.test", "Origin: http://b.test", "Origin: http://a_b.test")),
		judged("more", on+more, append(posts(hostile...), apart...)),
		{name: "path", filters: "[{name: m, typed_config: {" + typ + on + more + "}}]", asks: path},
		judged("any", on+", additional_origins: [{safe_regex: {regex: '.*'}}]", posts("", "Origin: http://evil.test", "Origin: ", "Origin: null")),
		routes,
	})
}
