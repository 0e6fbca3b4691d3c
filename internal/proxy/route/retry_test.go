package route

import (
	"strings"
	"testing"
)

// Which answers are followed by another try.
func TestRetryAnswer(t *testing.T) {
	for _, tt := range []struct {
		on, fields string
		status     int
		want       bool
	}{
		{"5xx", "", 500, true},
		{"gateway-error", "", 500, false},
		{"gateway-error", "", 503, true},
		{"retriable-4xx", "", 409, true},
		{"retriable-status-codes", "", 418, true},
		{"5xx", "", 418, false},
		{"5xx", "x-envoy-ratelimited:true", 503, false},
		{"5xx,envoy-ratelimited", "x-envoy-ratelimited:true", 429, true},
		{"unavailable, cancelled", "grpc-status:14", 200, true},
		{"unavailable, cancelled", "grpc-status:1", 200, true},
		{"unavailable", "grpc-status:13", 200, false},
		{"retriable-headers", "again:yes", 200, true},
		{"retriable-headers", "again:no", 200, false},
		{"5xx", "again:yes", 200, false},
	} {
		table, err := compile(t, `virtual_hosts: [{name: v, domains: ['*'], routes: [{match: {prefix: /}, route: {cluster: c, retry_policy: {retry_on: "`+tt.on+
			`", retriable_status_codes: [418], retriable_headers: [{name: Again, string_match: {exact: "yes"}}]}}}]}]`)
		if err != nil {
			t.Fatal(err)
		}
		x := request("GET", "h", "/")
		x.Response.Status = tt.status
		if name, value, ok := strings.Cut(tt.fields, ":"); ok {
			x.Response.Header.Add(name, value)
		}
		if got := table.Lookup(x, "").Forward.Retry.Answer(&x.Response); got != tt.want {
			t.Errorf("%s: %d %s: %v", tt.on, tt.status, tt.fields, got)
		}
	}
}

// Which requests may be sent again, and which cluster a header names.
func TestByRequestHeaders(t *testing.T) {
	table, err := compile(t, `virtual_hosts: [{name: v, domains: ['*'], routes: [{match: {prefix: /}, route: {weighted_clusters: {clusters: [{cluster_header: X-To, weight: 1}]},
		retry_policy: {retry_on: 5xx, retriable_request_headers: [{name: x-again, present_match: true}, {name: ":method", string_match: {exact: PUT}}]}}}]}]`)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		method, again, to string
		want              bool
	}{{"GET", "", "", false}, {"GET", "x", "a", true}, {"PUT", "", "b", true}} {
		x := request(tt.method, "h", "/")
		if tt.again != "" {
			x.Request.Header.Add("x-again", tt.again)
		}
		if tt.to != "" {
			x.Request.Header.Add("x-to", tt.to)
		}
		f := table.Lookup(x, "").Forward
		if got := f.Retry.For(x) != nil; got != tt.want {
			t.Errorf("%+v: %v", tt, got)
		}
		if got := f.Choose(x).Cluster; got != tt.to {
			t.Errorf("%+v: %q", tt, got)
		}
	}
	for _, bad := range []string{"{weight: 1}", "{name: a, cluster_header: b, weight: 1}"} {
		if _, err := compile(t, `virtual_hosts: [{name: v, domains: ['*'], routes: [{match: {prefix: /}, route: {weighted_clusters: {clusters: [`+bad+`]}}}]}]`); err == nil || !strings.Contains(err.Error(), "clusters[0].name") {
			t.Errorf("%s: %v", bad, err)
		}
	}
}
