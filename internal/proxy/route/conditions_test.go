package route

import (
	"crypto/x509"
	"testing"

	"github.com/usher-mesh/usher/internal/jsondoc"
	"github.com/usher-mesh/usher/internal/proxy/exchange"
)

// What a route asks besides path, headers and query.
func TestConditions(t *testing.T) {
	for _, tt := range []struct {
		match string
		x     func(*exchange.Exchange)
		want  bool
	}{
		{"grpc: {}", func(x *exchange.Exchange) { x.Request.Header.Add("content-type", "application/grpc+proto") }, true},
		{"grpc: {}", func(x *exchange.Exchange) { x.Request.Header.Add("content-type", "application/grpc-web") }, false},
		{"tls_context: {presented: true}", func(x *exchange.Exchange) { x.Conn.Peer = new(x509.Certificate) }, true},
		{"tls_context: {presented: true}", func(*exchange.Exchange) {}, false},
		{"tls_context: {validated: false}", func(*exchange.Exchange) {}, true},
		{"tls_context: {validated: false}", func(x *exchange.Exchange) { x.Conn.Peer = new(x509.Certificate) }, false},
		{"cookies: [{name: a, string_match: {exact: b}}]", func(x *exchange.Exchange) { x.Request.Header.Add("cookie", "x=y; a=b") }, true},
		{"cookies: [{name: a, string_match: {exact: b}}]", func(x *exchange.Exchange) { x.Request.Header.Add("cookie", "a=c; a=b") }, false},
		{"cookies: [{name: a, string_match: {exact: b}}]", func(*exchange.Exchange) {}, false},
		{"cookies: [{name: a, string_match: {exact: b}, invert_match: true}]", func(*exchange.Exchange) {}, true},
		{"dynamic_metadata: [{filter: f, path: [{key: k}], value: {string_match: {exact: v}}}]", func(x *exchange.Exchange) { x.SetMetadata("f", "k", jsondoc.Of("v")) }, true},
		{"dynamic_metadata: [{filter: f, path: [{key: k}], value: {string_match: {exact: v}}}]", func(*exchange.Exchange) {}, false},
		{"filter_state: [{key: k, string_match: {prefix: v}}]", func(x *exchange.Exchange) { x.SetFilterState("k", "value") }, true},
		{"filter_state: [{key: k, string_match: {prefix: ''}}]", func(*exchange.Exchange) {}, false},
	} {
		table, err := compile(t, "virtual_hosts: [{name: v, domains: ['*'], routes: [{match: {prefix: /, "+tt.match+"}, route: {cluster: c}}]}]")
		if err != nil {
			t.Error(err)
			continue
		}
		x := request("GET", "h", "/")
		x.Conn = new(exchange.Conn)
		tt.x(x)
		if got := table.Lookup(x, "") != nil; got != tt.want {
			t.Errorf("%s: %v", tt.match, got)
		}
	}
}
