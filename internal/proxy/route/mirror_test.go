package route

import (
	"strings"
	"testing"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"sigs.k8s.io/yaml"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
)

func mirrorTable(t *testing.T, text string) (*Table, error) {
	t.Helper()
	js, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	m := new(routev3.RouteConfiguration)
	if err := protojson.Unmarshal(js, m); err != nil {
		t.Fatal(err)
	}
	return Compile(m, nil)
}

// TestMirrors: the most specific level's policies count alone.
func TestMirrors(t *testing.T) {
	table, err := mirrorTable(t, `{request_mirror_policies: [{cluster: top}], virtual_hosts: [
		{name: a, domains: [a], request_mirror_policies: [{cluster: host}], routes: [
			{match: {prefix: /own}, route: {cluster: c, request_mirror_policies: [{cluster: one}, {cluster_header: X-To}, {cluster: nope, runtime_fraction: {default_value: {numerator: 0}}}]}},
			{match: {prefix: /}, route: {cluster: c}}]},
		{name: b, domains: ["*"], routes: [{match: {prefix: /}, route: {cluster: c}}]}]}`)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ host, path, want string }{{"a", "/own", "one two "}, {"a", "/", "host"}, {"b", "/own", "top"}} {
		x := &exchange.Exchange{}
		x.Request.Method, x.Request.Authority, x.Request.Path = "GET", c.host, c.path
		x.Request.Header.Add("x-to", "two")
		var got []string
		for _, m := range table.Lookup(x, "").Forward.Mirrors {
			got = append(got, m.Hit(x))
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s%s: %q", c.host, c.path, got)
		}
	}
	for authority, want := range map[string]string{"a": "a-shadow", "a:80": "a-shadow:80", "[::1]": "[::1]-shadow", "[::1]:80": "[::1]-shadow:80"} {
		if got := (&Mirror{suffix: true}).Authority(authority); got != want {
			t.Errorf("%s: %s", authority, got)
		}
	}
	for policy, want := range map[string]string{
		"{}": "cluster: want this or cluster_header", "{cluster: a, cluster_header: b}": "cluster: want this",
		"{cluster: a, host_rewrite_literal: b}": "host_rewrite_literal: not supported", "{cluster: a, request_headers_mutations: [{remove: x}]}": "request_headers_mutations: not supported",
	} {
		_, err := mirrorTable(t, `{virtual_hosts: [{name: a, domains: ["*"], routes: [{match: {prefix: /}, route: {cluster: c, request_mirror_policies: [`+policy+`]}}]}]}`)
		if err == nil || !strings.Contains(err.Error(), "request_mirror_policies[0]."+want) {
			t.Errorf("%s: %v", policy, err)
		}
	}
}
