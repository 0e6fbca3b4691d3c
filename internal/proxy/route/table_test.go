package route

import (
	"fmt"
	"strings"
	"testing"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"

	"github.com/usher-mesh/usher/internal/jsondoc"
	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/proxytest"
	"github.com/usher-mesh/usher/internal/proxy/redact"
)

func compile(t testing.TB, text string) (*Table, error) {
	t.Helper()
	return Compile(proxytest.Decode(t, text, new(routev3.RouteConfiguration)), nil)
}

func request(method, authority, path string, headers ...string) *exchange.Exchange {
	x := new(exchange.Exchange)
	x.Request.Method, x.Request.Authority, x.Request.Path, x.Request.Scheme = method, authority, path, "http"
	for _, h := range headers {
		n, v, _ := strings.Cut(h, ":")
		x.Request.Header.Add(n, v)
	}
	return x
}

func TestLookup(t *testing.T) {
	table, err := compile(t, `
virtual_hosts:
- {name: exact, domains: ["a.com", "a.com:8080"], routes: [
    {name: header, match: {prefix: /, headers: [{name: x, string_match: {exact: 'y'}}]}, direct_response: {status: 200}},
    {name: absent, match: {prefix: /absent, headers: [{name: z, present_match: false}]}, direct_response: {status: 200}},
    {name: inverted, match: {prefix: /inv, headers: [{name: z, string_match: {exact: q}, invert_match: true}]}, direct_response: {status: 200}},
    {name: query, match: {prefix: /, query_parameters: [{name: q, string_match: {prefix: a}}]}, direct_response: {status: 200}},
    {name: path, match: {path: /p}, direct_response: {status: 200}},
    {name: separated, match: {path_separated_prefix: /s}, direct_response: {status: 200}},
    {name: regex, match: {safe_regex: {regex: "/r[0-9]+"}}, direct_response: {status: 200}},
    {name: fold, match: {prefix: /FOLD, case_sensitive: false}, direct_response: {status: 200}},
    {name: prefix, match: {prefix: /pre}, direct_response: {status: 200}}]}
- {name: suffix, domains: ["*.b.com"], routes: [{name: suffix, match: {prefix: /}, direct_response: {status: 200}}]}
- {name: longer, domains: ["*.c.b.com"], routes: [{name: longer, match: {prefix: /}, direct_response: {status: 200}}]}
- {name: prefixed, domains: ["p.*"], routes: [{name: prefixed, match: {prefix: /}, direct_response: {status: 200}}]}
- {name: any, domains: ["*"], routes: [{name: any, match: {prefix: /}, direct_response: {status: 200}}]}`)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		x    *exchange.Exchange
		want string
	}{
		{request("GET", "a.com", "/", "x:y"), "header"},
		{request("GET", "A.COM", "/", "x:y"), "header"},
		{request("GET", "a.com:8080", "/", "x:y"), "header"},
		{request("GET", "a.com", "/", "x:n"), ""},
		{request("GET", "a.com", "/absent"), "absent"},
		{request("GET", "a.com", "/absent", "z:1"), ""},
		{request("GET", "a.com", "/inv", "z:1"), "inverted"},
		{request("GET", "a.com", "/inv", "z:q"), ""},
		{request("GET", "a.com", "/inv"), ""},
		{request("GET", "a.com", "/?q=abc"), "query"},
		{request("GET", "a.com", "/?q=b"), ""},
		{request("GET", "a.com", "/p?x"), "path"},
		{request("GET", "a.com", "/p/"), ""},
		{request("GET", "a.com", "/s"), "separated"},
		{request("GET", "a.com", "/s/t"), "separated"},
		{request("GET", "a.com", "/st"), ""},
		{request("GET", "a.com", "/r12"), "regex"},
		{request("GET", "a.com", "/r12/"), ""},
		{request("GET", "a.com", "/fold/x"), "fold"},
		{request("GET", "a.com", "/prefix"), "prefix"},
		{request("GET", "x.b.com", "/"), "suffix"},
		{request("GET", "x.c.b.com", "/"), "longer"},
		{request("GET", "b.com", "/"), "any"},
		{request("GET", "p.org", "/"), "prefixed"},
		{request("GET", "other", "/"), "any"},
		{request("CONNECT", "other", ""), ""},
	} {
		got := ""
		if r := table.Lookup(tt.x, ""); r != nil {
			got = r.Name
		}
		if got != tt.want {
			t.Errorf("%s %s %s %v: %q, want %q", tt.x.Request.Method, tt.x.Request.Authority, tt.x.Request.Path, tt.x.Request.Header.Fields(), got, tt.want)
		}
	}
}

// TestIndex holds that the index finds what a walk over all routes finds.
func TestIndex(t *testing.T) {
	var b strings.Builder
	b.WriteString("virtual_hosts:\n- name: v\n  domains: ['*']\n  routes:\n")
	kinds := [...]string{"prefix: /%d", "path: /%d", "safe_regex: {regex: '/%d.'}", "path_separated_prefix: /%d", "safe_regex: {regex: '/1|/%d'}",
		"safe_regex: {regex: '^/%d+$'}", "prefix: /A%d, case_sensitive: false", "path: /a%d, case_sensitive: false", "safe_regex: {regex: '(?i)/a%d'}"}
	for i := range 300 {
		fmt.Fprintf(&b, "  - {name: r%d, match: {"+kinds[i%len(kinds)]+"}, direct_response: {status: 200}}\n", i, i%37)
	}
	table, err := compile(t, b.String())
	if err != nil {
		t.Fatal(err)
	}
	v := table.any
	for i := range 1600 {
		path := fmt.Sprintf([...]string{"/%d", "/%d/x", "/a%d", "/A%d/"}[i%4], i/4)
		x := request("GET", "a", path)
		var want *Route
		for _, r := range v.routes {
			if r.matches(x, path, "") {
				want = r
				break
			}
		}
		if got := v.lookup(x); got != want {
			t.Errorf("%s: %v, want %v", path, got, want)
		}
	}
}

func TestRefused(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"vhds: {}", "vhds: not supported"},
		{"virtual_hosts: [{name: v, domains: []}]", "virtual_hosts[0].domains: empty"},
		{"virtual_hosts: [{name: v, domains: [a, A]}]", `virtual_hosts[0].domains[1]: "A" is there already`},
		{"virtual_hosts: [{name: v, domains: ['*'], routes: [{match: {prefix: /}, tracing: {operation: x}, route: {cluster: a}}]}]", "virtual_hosts[0].routes[0].tracing.operation: not supported"},
		{"virtual_hosts: [{name: v, domains: ['*'], routes: [{match: {prefix: /}, tracing: {client_sampling: {denominator: 7}}, route: {cluster: a}}]}]", "virtual_hosts[0].routes[0].tracing.client_sampling.denominator: not supported"},
		{"virtual_hosts: [{name: v, domains: ['*'], routes: [{match: {prefix: /}, tracing: {custom_tags: [{tag: a}]}, route: {cluster: a}}]}]", "virtual_hosts[0].routes[0].tracing.custom_tags[0].type: missing"},
		{"virtual_hosts: [{name: v, domains: ['*'], retry_policy: {retry_priority: {name: p, typed_config: {'@type': type.googleapis.com/google.protobuf.Empty}}}}]",
			"virtual_hosts[0].retry_policy.retry_priority.typed_config: type.googleapis.com/google.protobuf.Empty: not supported"},
		{"virtual_hosts: [{name: v, domains: ['*'], retry_policy: {retry_priority: {name: p, typed_config: {'@type': type.googleapis.com/envoy.extensions.retry.priority.previous_priorities.v3.PreviousPrioritiesConfig}}}}]",
			"virtual_hosts[0].retry_policy.retry_priority.typed_config.update_frequency: must be above 0"},
		{"virtual_hosts: [{name: v, domains: ['*'], routes: [{match: {prefix: /}, route: {cluster: a, priority: 7}}]}]", "virtual_hosts[0].routes[0].route.priority: 7: not supported"},
		{"virtual_hosts: [{name: v, domains: ['*'], require_tls: 7}]", "virtual_hosts[0].require_tls: 7: not supported"},
		{"virtual_hosts: [{name: v, domains: ['*'], routes: [{match: {prefix: /}, route: {cluster: a, hash_policy: [{terminal: true}]}}]}]",
			"virtual_hosts[0].routes[0].route.hash_policy[0].policy_specifier: missing"},
		{"virtual_hosts: [{name: v, domains: ['*'], routes: [{match: {prefix: /}}]}]", "virtual_hosts[0].routes[0].action: missing"},
		{"virtual_hosts: [{name: v, domains: ['*'], routes: [{match: {prefix: /, filter_state: [{key: a, address_match: {}}]}, route: {cluster: a}}]}]", "virtual_hosts[0].routes[0].match.filter_state[0].address_match: not supported"},
		{"virtual_hosts: [{name: v, domains: ['*'], routes: [{match: {safe_regex: {regex: '('}}, route: {cluster: a}}]}]",
			"virtual_hosts[0].routes[0].match.safe_regex: error parsing regexp: missing closing ): `(`"},
		{"virtual_hosts: [{name: v, domains: ['*'], routes: [{match: {" + template("/{x}") + "}, route: {cluster: a, " + rewrite("/{y}") + "}}]}]",
			"virtual_hosts[0].routes[0].route.path_rewrite_policy.typed_config.path_template_rewrite: \"y\" is no variable of the match"},
		{"virtual_hosts: [{name: v, domains: ['*'], routes: [{match: {prefix: /}, route: {cluster: a, " + rewrite("/x") + "}}]}]",
			"virtual_hosts[0].routes[0].route.path_rewrite_policy: needs a path_match_policy"},
		{"virtual_hosts: [{name: v, domains: ['*'], routes: [{match: {prefix: /}, route: {cluster: a, regex_rewrite: {pattern: {regex: a}, substitution: '\\1'}}}]}]",
			`virtual_hosts[0].routes[0].route.regex_rewrite.substitution: \1 is no group of the pattern`},
		{"virtual_hosts: [{name: v, domains: ['*'], routes: [{match: {prefix: /}, route: {cluster: a, hash_policy: [{cookie: {name: a, path: '/;x'}}]}}]}]",
			"virtual_hosts[0].routes[0].route.hash_policy[0].cookie.path: holds ';'"},
		{"virtual_hosts: [{name: v, domains: ['*'], routes: [{match: {prefix: /}, route: {cluster: a, prefix_rewrite: /b, regex_rewrite: {pattern: {regex: a}, substitution: b}}}]}]",
			"virtual_hosts[0].routes[0].route: more than one of prefix_rewrite, regex_rewrite and path_rewrite_policy"},
		{"virtual_hosts: [{name: v, domains: ['*'], routes: [{match: {" + template("/{x}") + "}, route: {cluster: a, prefix_rewrite: /b, " + rewrite("/{x}") + "}}]}]",
			"virtual_hosts[0].routes[0].route: more than one of prefix_rewrite, regex_rewrite and path_rewrite_policy"},
		{"virtual_hosts: [{name: v, domains: ['*'], routes: [{match: {prefix: /}, route: {cluster: a, upgrade_configs: [{upgrade_type: ws}, {upgrade_type: WS, enabled: false}]}}]}]",
			`virtual_hosts[0].routes[0].route.upgrade_configs[1].upgrade_type: "ws" is there already`},
		{"virtual_hosts: [{name: v, domains: ['*'], routes: [{match: {prefix: /}, direct_response: {status: 200, body: {inline_string: " + strings.Repeat("a", 4097) + "}}}]}]",
			"virtual_hosts[0].routes[0].direct_response.body: larger than 4096 bytes (max_direct_response_body_size_bytes, at most 65536)"},
		{"max_direct_response_body_size_bytes: 2\nvirtual_hosts: [{name: v, domains: ['*'], routes: [{match: {prefix: /}, direct_response: {status: 200, body: {inline_string: aaa}}}]}]",
			"virtual_hosts[0].routes[0].direct_response.body: larger than 2 bytes (max_direct_response_body_size_bytes, at most 65536)"},
		{"max_direct_response_body_size_bytes: 4294967295\nvirtual_hosts: [{name: v, domains: ['*'], routes: [{match: {prefix: /}, direct_response: {status: 200, body: {inline_string: " + strings.Repeat("a", 65537) + "}}}]}]",
			"virtual_hosts[0].routes[0].direct_response.body: larger than 65536 bytes (max_direct_response_body_size_bytes, at most 65536)"},
		{"request_headers_to_add: [{header: {key: a, value: '%NOPE(x)%'}}]", "request_headers_to_add[0].header.value: %NOPE(x)%: unknown command"},
		{"request_headers_to_add: [{header: {key: a, value: '100%'}}]", `request_headers_to_add[0].header.value: "%": a command without its end`},
		{"request_headers_to_add: [{header: {key: a, value: \"x\\r\\ny\"}}]", "request_headers_to_add[0].header.value: holds a control character"},
		{"virtual_hosts: [{name: v, domains: ['*'], typed_per_filter_config: {f: {'@type': type.googleapis.com/google.protobuf.Empty}}}]",
			"virtual_hosts[0].typed_per_filter_config[f]: type.googleapis.com/google.protobuf.Empty: not supported"},
	} {
		if _, err := compile(t, tt.text); err == nil || err.Error() != tt.want {
			t.Errorf("%s:\n%v, want\n%s", tt.text, err, tt.want)
		}
	}
}

func template(t string) string {
	return "path_match_policy: {name: t, typed_config: {'@type': type.googleapis.com/envoy.extensions.path.match.uri_template.v3.UriTemplateMatchConfig, path_template: '" + t + "'}}"
}

func rewrite(t string) string {
	return "path_rewrite_policy: {name: t, typed_config: {'@type': type.googleapis.com/envoy.extensions.path.rewrite.uri_template.v3.UriTemplateRewriteConfig, path_template_rewrite: '" + t + "'}}"
}

func TestRewrite(t *testing.T) {
	for _, tt := range []struct{ match, action, path, wantPath, wantHost, wantOriginal string }{
		{"prefix: /a", "prefix_rewrite: /b", "/a/c?q", "/b/c?q", "h", "/a/c?q"},
		{"prefix: /a", "path_rewrite: /b", "/a/c?q", "/b?q", "h", "/a/c?q"},
		{"prefix: /", "regex_rewrite: {pattern: {regex: '^/(.*)/x'}, substitution: '/y/\\1$'}", "/v/x?q", "/y/v$?q", "h", "/v/x?q"},
		{template("/a/{x}/{rest=**}"), rewrite("/{rest}/of/{x}"), "/a/b/c/d?q", "/c/d/of/b?q", "h", "/a/b/c/d?q"},
		{"prefix: /", "host_rewrite_literal: other", "/a", "/a", "other", ""},
		{"prefix: /", "prefix_rewrite: /z/, host_rewrite_path_regex: {pattern: {regex: '^/([a-z]+).*$'}, substitution: '\\1.test'}", "/a/b", "/z/a/b", "a.test", "/a/b"},
		{"prefix: /a", "prefix_rewrite: /a", "/a?q", "/a?q", "h", "/a?q"},
		{"prefix: /", "host_rewrite_header: x-h", "/a", "/a", "named", ""},
		{"prefix: /a", "prefix_rewrite: /b", "/a?access_token=s3cret&%61ccess_token=t0o", "/b?access_token=s3cret&%61ccess_token=t0o", "h", "/a?access_token=[redacted]&%61ccess_token=[redacted]"},
	} {
		table, err := compile(t, "virtual_hosts: [{name: v, domains: ['*'], routes: [{match: {"+tt.match+"}, route: {cluster: c, "+tt.action+"}}]}]")
		if err != nil {
			t.Fatal(err)
		}
		x := request("GET", "h", tt.path, "x-h:named")
		x.Redact([]exchange.Secret{{Kind: exchange.SecretParam, Name: "access_token"}})
		r := table.Lookup(x, "")
		r.Rewrite(x, r.Forward.Choose(x))
		if x.Request.Path != tt.wantPath || x.Request.Authority != tt.wantHost || x.Request.Header.Get("x-envoy-original-path") != tt.wantOriginal {
			t.Errorf("%s: %q %q %q", tt.action, x.Request.Path, x.Request.Authority, x.Request.Header.Get("x-envoy-original-path"))
		}
		if was := x.Request.Header.Get("x-envoy-original-host"); (was == "h") != (tt.wantHost != "h") {
			t.Errorf("%s: the original host is %q", tt.action, was)
		}
	}
}

// What is there is judged before anything is added, and replacements come first.
func TestMutations(t *testing.T) {
	table, err := compile(t, `
virtual_hosts: [{name: v, domains: ['*'], routes: [{match: {prefix: /}, route: {weighted_clusters: {clusters: [
    {name: c, weight: 1, request_headers_to_add: [{header: {key: order, value: first}}]}]}},
  request_headers_to_remove: [gone], request_headers_to_add: [
    {header: {key: a, value: added}}, {header: {key: a, value: set}, append_action: OVERWRITE_IF_EXISTS_OR_ADD},
    {header: {key: b, value: added}}, {header: {key: b, value: absent}, append_action: ADD_IF_ABSENT},
    {header: {key: c, value: set}, append_action: OVERWRITE_IF_EXISTS}, {header: {key: there, value: set}, append_action: OVERWRITE_IF_EXISTS},
    {header: {key: gone, value: again}, append_action: ADD_IF_ABSENT}, {header: {key: order, value: second}},
    {header: {key: empty, value: ''}}, {header: {key: kept, value: ''}, keep_empty_value: true}]}]}]`)
	if err != nil {
		t.Fatal(err)
	}
	x := request("GET", "h", "/", "gone:x", "there:x", "there:y")
	r := table.Lookup(x, "")
	r.Rewrite(x, r.Forward.Choose(x))
	want := "[{there set} {order first} {a set} {a added} {b added} {b absent} {gone again} {order second} {kept }]"
	if got := fmt.Sprint(x.Request.Header.Fields()); got != want {
		t.Errorf("%s, want\n%s", got, want)
	}
}

// TestFormatted holds what formats make of values: secrets are copied on purpose and
// stay ones, and what a token says cannot end a field.
func TestFormatted(t *testing.T) {
	table, err := compile(t, `
request_headers_to_add: [{header: {key: copy, value: 'of %REQ(authorization)%'}}, {header: {key: sub, value: '%DYNAMIC_METADATA(jwt:sub)%'}},
  {header: {key: none, value: '%REQ(absent)%'}}, {header: {key: kept, value: '%REQ(absent)%'}, keep_empty_value: true}, {header: {key: pct, value: '100%%'}}]
response_headers_to_add: [{header: {key: route, value: '%ROUTE_NAME%:%REQ(:method)%:%RESPONSE_CODE%'}}]
virtual_hosts: [{name: v, domains: ["*"], routes: [{name: r, match: {prefix: /}, route: {cluster: c}}]}]`)
	if err != nil {
		t.Fatal(err)
	}
	x := request("GET", "h", "/", "authorization:Basic s3cret")
	x.SetMetadata("jwt", "sub", jsondoc.Of("a\r\nadmin: yes"))
	r := table.Lookup(x, "")
	x.RouteName, x.Response.Status = r.Name, 201
	r.Rewrite(x, r.Forward.Choose(x))
	r.Respond(x, Choice{})
	if got, want := fmt.Sprint(x.Request.Header.Fields()), "[{authorization Basic s3cret} {copy of Basic s3cret} {sub a  admin: yes} {kept } {pct 100%}]"; got != want {
		t.Errorf("%s, want\n%s", got, want)
	}
	if got, want := fmt.Sprint(x.Response.Header.Fields()), "[{route r:GET:201}]"; got != want {
		t.Errorf("%s, want\n%s", got, want)
	}
	if got := redact.Header(x, "copy", x.Request.Header.Get("copy")); got != redact.Redacted {
		t.Errorf("the copy of a secret is shown: %s", got)
	}
}

func TestRedirect(t *testing.T) {
	for _, tt := range []struct{ action, host, path, want string }{
		{"https_redirect: true", "h:80", "/a?q", "https://h/a?q"},
		{"host_redirect: o, path_redirect: /n", "h:8080", "/a?q", "http://o:8080/n?q"},
		{"prefix_rewrite: /z, strip_query: true", "h", "/a/b?q", "http://h/z/b"},
		{"port_redirect: 8443, scheme_redirect: https", "h", "/a", "https://h:8443/a"},
	} {
		table, err := compile(t, "virtual_hosts: [{name: v, domains: ['*'], routes: [{match: {prefix: /a}, redirect: {"+tt.action+"}}]}]")
		if err != nil {
			t.Fatal(err)
		}
		x := request("GET", tt.host, tt.path)
		r := table.Lookup(x, "")
		if got := r.Redirect.Location(x, r); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.action, got, tt.want)
		}
	}
}

// TestRequireTLS holds who is sent to https, and that the rest of the virtual host is not
// asked then.
func TestRequireTLS(t *testing.T) {
	for _, tt := range []struct {
		require string
		x       *exchange.Exchange
		want    string // "": a route of the list
	}{
		{"NONE", request("GET", "h", "/a"), ""},
		{"ALL", request("GET", "h:80", "/a?q=1"), "https://h:80/a?q=1"},
		{"ALL", request("GET", "h", "/", "x-forwarded-proto:http"), "https://h/"},
		{"ALL", request("GET", "h", "/", "x-forwarded-proto:http", "x-envoy-internal:true"), "https://h/"},
		{"ALL", request("GET", "h", "/", "x-forwarded-proto:https"), ""},
		{"EXTERNAL_ONLY", request("GET", "h", "/none", "x-forwarded-proto:http"), "https://h/none"},
		{"EXTERNAL_ONLY", request("GET", "h", "/", "x-forwarded-proto:http", "x-envoy-internal:false"), "https://h/"},
		{"EXTERNAL_ONLY", request("GET", "h", "/a", "x-forwarded-proto:http", "x-envoy-internal:true"), ""},
	} {
		table, err := compile(t, "response_headers_to_add: [{header: {key: a, value: b}}]\nvirtual_hosts: [{name: v, domains: ['*'], require_tls: "+tt.require+", routes: [{name: r, match: {prefix: /a}, direct_response: {status: 200}}, {name: r, match: {prefix: /}, route: {cluster: c}}]}]")
		if err != nil {
			t.Fatal(err)
		}
		r := table.Lookup(tt.x, "")
		got := ""
		if r.Redirect != nil {
			got = r.Redirect.Location(tt.x, r)
			r.Respond(tt.x, Choice{})
		}
		if got != tt.want || (r.Name == "r") != (tt.want == "") || tt.x.Response.Header.Len() > 0 {
			t.Errorf("%s %v: %q by route %q, want %q", tt.require, tt.x.Request.Header.Fields(), got, r.Name, tt.want)
		}
	}
}
