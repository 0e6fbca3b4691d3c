package filters

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"

	"github.com/usher-mesh/usher/test/conformance/beside"
)

// decoded gives content without its encoding.
func decoded(encoding string, b []byte) ([]byte, error) {
	var r io.Reader
	var err error
	switch encoding {
	case "gzip":
		r, err = gzip.NewReader(bytes.NewReader(b))
	case "br":
		r = brotli.NewReader(bytes.NewReader(b))
	case "zstd":
		r, err = zstd.NewReader(bytes.NewReader(b))
	default:
		return b, nil
	}
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}

// large is a server whose answers are as the query says: status, field=name:value, length,
// and chunked. It tells what it got.
func large(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	kind := r.Header.Get("Content-Encoding")
	body, err := decoded(kind, body)
	q := r.URL.Query()
	w.Header()["Date"] = nil
	w.Header().Set("x-got", fmt.Sprintf("%q %s %q %v", r.Header["Accept-Encoding"], kind, body, err))
	w.Header()["Content-Type"] = nil
	for _, f := range q["field"] {
		name, value, _ := strings.Cut(f, ":")
		w.Header().Add(name, value)
	}
	n := 1000
	if l := q.Get("length"); l != "" {
		n, _ = strconv.Atoi(l)
	}
	if !q.Has("chunked") {
		w.Header().Set("Content-Length", strconv.Itoa(n))
	}
	status := 200
	if s := q.Get("status"); s != "" {
		status, _ = strconv.Atoi(s)
	}
	w.WriteHeader(status)
	if q.Has("chunked") {
		w.(http.Flusher).Flush()
	}
	io.WriteString(w, strings.Repeat("x", n))
}

func TestCompressor(t *testing.T) {
	const typ = "'@type': type.googleapis.com/envoy.extensions.filters.http.compressor.v3."
	library := func(kind, name string) string {
		return "compressor_library: {name: " + name + ", typed_config: {'@type': type.googleapis.com/envoy.extensions.compression." + strings.ToLower(kind) + ".compressor.v3." + kind + "}}"
	}
	one := func(name, kind, fields string) string {
		return "{name: " + name + ", typed_config: {" + typ + "Compressor, " + fields + library(kind, "text") + "}}"
	}
	const routes = "[{match: {prefix: /direct}, direct_response: {status: 200, body: {inline_string: " + "'0123456789012345678901234567890123456789'" + "}}}, {match: {prefix: /}, route: {cluster: large}}]"
	chain := func(name string, filters []string, asks ...ask) *world {
		return &world{name: name, filters: "[" + strings.Join(filters, ", ") + "]", routes: routes, asks: asks, counters: []string{"envoy_http_compressor_"}}
	}
	get := func(query, accept string, header ...string) ask {
		a := ask{path: "/?" + query, header: header}
		if accept != "" {
			a.header = append(a.header, "accept-encoding: "+accept)
		}
		return a
	}
	const text = "field=content-type:text/plain"
	usual := []ask{get(text, "gzip"), get(text, ""), get(text, "deflate"), get(text, "identity"), get(text, "*"), get(text, "gzip;q=0"), get(text, "gzip;q=0.5, identity"), get(text, "gzip, identity;q=0.5"),
		get(text, "GZIP"), get(text, "br;q=1, gzip;q=0.1"), get(text, "*;q=0"), get(text, "identity;q=0"), get(text, ""), get(text, "gzip; q=0.3 , *;q=0.1"), get(text, "gzip;q=x"), get(text, ","), get(text, "gzip;q=5")}
	kinds := []ask{get("", "gzip"), get("field=content-type:image/png", "gzip"), get("field=content-type:text/html;charset=utf-8", "gzip"), get("field=content-type:TEXT/html", "gzip"), get("field=content-type:application/json", "gzip"),
		get("field=content-type:application/xml", "gzip"), get("field=content-type:text/event-stream", "gzip"), get("field=content-type:application/javascript", "gzip"), get("field=content-type:image/svg%2Bxml", "gzip")}
	for _, k := range []string{"application/x-json", "application/x-javascript", "text/javascript", "text/x-javascript", "text/ecmascript", "text/js", "text/jscript", "text/x-js", "application/ecmascript", "application/x-ecmascript", "text/x-ecmascript", "text/json", "text/x-json", "application/ld%2Bjson"} {
		kinds = append(kinds, get("field=content-type:"+k, "gzip"))
	}
	more := []ask{get(text+"&length=29", "gzip"), get(text+"&length=30", "gzip"), get(text+"&length=0", "gzip"), get(text+"&length=5&chunked", "gzip"), get(text+"&chunked", "gzip"), get(text+"&field=content-encoding:br", "gzip"),
		get(text+"&field=cache-control:no-transform", "gzip"), get(text+"&field=cache-control:max-age%3D1,%20No-Transform", "gzip"), get(text+"&field=etag:%22a%22", "gzip"), get(text+"&field=etag:W/%22a%22", "gzip"),
		get(text+"&field=vary:Cookie", "gzip"), get(text+"&field=vary:Cookie,%20Accept-Encoding", "gzip"), get(text+"&field=vary:accept-encoding", "gzip"), get(text+"&field=vary:a&field=vary:b", "gzip"), get(text+"&field=vary:*", "gzip"),
		get(text+"&status=404", "gzip"), get(text+"&status=206", "gzip"), {method: "HEAD", path: "/?" + text, header: []string{"accept-encoding: gzip"}}, {path: "/direct", header: []string{"accept-encoding: gzip"}}, {path: "/direct"},
		{method: "HEAD", path: "/direct", header: []string{"accept-encoding: gzip"}}}
	const response = "response_direction_config: {"
	gzip := func(name, fields string, asks ...ask) *world {
		return chain(name, []string{one("m", "Gzip", fields)}, asks...)
	}
	route := gzip("route", "response_direction_config: {common_config: {enabled: {default_value: false, runtime_key: x}}}, ", ask{path: "/off?" + text, header: []string{"accept-encoding: gzip"}}, ask{path: "/on?" + text, header: []string{"accept-encoding: gzip"}}, ask{path: "/br?" + text, header: []string{"accept-encoding: gzip, br"}}, ask{path: "/?" + text, header: []string{"accept-encoding: gzip"}})
	at := func(path, fields string) string {
		return "{match: {prefix: " + path + "}, route: {cluster: large}, typed_per_filter_config: {m: {" + typ + "CompressorPerRoute, " + fields + "}}}"
	}
	route.routes = "[" + at("/off", "disabled: true") + ", " + at("/on", "overrides: {response_direction_config: {remove_accept_encoding_header: true}}") + ", " + at("/br", "overrides: {response_direction_config: {}, "+library("Brotli", "text")+"}") + ", {match: {prefix: /}, route: {cluster: large}}]"
	post := func(n int, header ...string) ask {
		return ask{method: "POST", path: "/?" + text, body: strings.Repeat("y", n), header: append(header, "content-type: text/plain")}
	}
	compare(t, []*world{
		gzip("usual", "", usual...), gzip("kinds", "", kinds...), gzip("more", "", more...),
		gzip("direction", response+"common_config: {min_content_length: 100}, disable_on_etag_header: true, remove_accept_encoding_header: true, uncompressible_response_codes: [206]}, ", get(text+"&length=99", "gzip"), get(text+"&length=100", "gzip"), get(text+"&field=etag:%22a%22", "gzip"), get(text+"&status=206", "gzip")),
		gzip("weaken", response+"weaken_etag_on_compress: true, disable_on_etag_header: true}, ", get(text+"&field=etag:%22a%22", "gzip"), get(text+"&field=etag:W/%22a%22", "gzip"), get(text+"&field=etag:%22a%22", "")),
		gzip("types", response+"common_config: {content_type_matcher: [{prefix: text/}, {exact: a/b}]}}, ", get(text, "gzip"), get("field=content-type:a/b;c", "gzip"), get("field=content-type:application/json", "gzip")),
		gzip("disabled", response+"common_config: {enabled: {default_value: false, runtime_key: x}}, remove_accept_encoding_header: true}, ", get(text, "gzip")),
		gzip("requests", "request_direction_config: {}, ", post(1000), post(29), post(1000, "content-encoding: br"), ask{method: "POST", path: "/?" + text, body: strings.Repeat("y", 100), header: []string{"content-type: image/png"}}, get(text, "")),
		chain("brotli", []string{one("m", "Brotli", "")}, get(text, "br"), get(text, "gzip")), chain("zstd", []string{one("m", "Zstd", "")}, get(text, "zstd"), get(text, "gzip")),
		chain("three", []string{one("a", "Gzip", ""), one("b", "Brotli", ""), one("c", "Zstd", "response_direction_config: {common_config: {content_type: [text/html]}}, ")}, get(text, "gzip, br, zstd"), get(text, "br, gzip"), get(text, "zstd, br;q=0.5"), get(text, "*"), get(text, "gzip;q=0.1, *"),
			get("field=content-type:text/html", "zstd, br"), get("field=content-type:text/html", "*"), get(text, "identity;q=0.5, gzip;q=0.4"), get(text, "gzip;q=0.8, br;q=0.9")),
		chain("first", []string{one("a", "Gzip", ""), one("b", "Brotli", "choose_first: true, ")}, get(text, "gzip, br"), get(text, "br, gzip"), get(text, "*"), get(text, "gzip, br;q=0.9")),
		route,
	}, beside.Cluster("large", beside.Serve(t, http.HandlerFunc(large), false), false))
}
