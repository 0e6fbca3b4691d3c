package rbac

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"net/netip"
	"strings"
	"testing"

	rbacv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/rbac/v3"

	"github.com/usher-mesh/usher/internal/jsondoc"
	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/filter"
	"github.com/usher-mesh/usher/internal/proxy/proxytest"
)

func newFilter(t testing.TB, text string) (*Filter, error) {
	t.Helper()
	f, err := Factory(nil).New(filter.Config{Name: "rbac", Typed: proxytest.Pack(t, text, &rbacv3.RBAC{})})
	if err != nil {
		return nil, err
	}
	return f.(*Filter), nil
}

// sample is one request that every matcher below is asked about.
func sample() *exchange.Exchange {
	x := &exchange.Exchange{Conn: &exchange.Conn{
		Remote: netip.MustParseAddrPort("127.1.2.3:4444"), Direct: netip.MustParseAddrPort("127.5.5.5:4444"), Local: netip.MustParseAddrPort("127.9.9.9:8080"),
		TLS: true, SNI: "outbound.example", PeerURI: "spiffe://cluster.local/ns/a/sa/b", Peer: &x509.Certificate{},
	}}
	x.Request.Method, x.Request.Scheme, x.Request.Authority, x.Request.Path = "GET", "http", "Shop.example:80", "/a/b/c?q=1"
	x.Request.Header.Add("x-one", "1")
	x.Request.Header.Add("x-two", "a")
	x.Request.Header.Add("x-two", "b")
	x.SetMetadata("envoy.filters.http.jwt_authn", "payload", jsondoc.Of(map[string]any{
		"iss": "i", "sub": "s", "role": "customer", "groups": []any{"x", json.Number("5"), true}, "level": json.Number("7"),
		"admin": true, "none": nil, "deep": map[string]any{"a.b": "c"},
	}))
	return x
}

// claim matches a claim of the sample by a value matcher.
func claim(path, value string) string {
	var segments []string
	for _, p := range strings.Split("payload/"+path, "/") {
		segments = append(segments, `{key: "`+p+`"}`)
	}
	return `{metadata: {filter: envoy.filters.http.jwt_authn, path: [` + strings.Join(segments, ", ") + `], value: ` + value + `}}`
}

func TestPrincipals(t *testing.T) {
	for m, want := range map[string]bool{
		`{any: true}`:           true,
		`{not_id: {any: true}}`: false,
		`{authenticated: {}}`:   true,
		`{authenticated: {principal_name: {exact: "spiffe://cluster.local/ns/a/sa/b"}}}`:                               true,
		`{authenticated: {principal_name: {prefix: "spiffe://cluster.local/ns/a/"}}}`:                                  true,
		`{authenticated: {principal_name: {safe_regex: {regex: ".*/ns/a/.*"}}}}`:                                       true,
		`{authenticated: {principal_name: {safe_regex: {regex: "/ns/a/"}}}}`:                                           false,
		`{authenticated: {principal_name: {exact: ""}}}`:                                                               false,
		`{source_ip: {address_prefix: 127.1.0.0, prefix_len: 16}}`:                                                     true,
		`{direct_remote_ip: {address_prefix: 127.5.5.5, prefix_len: 32}}`:                                              true,
		`{direct_remote_ip: {address_prefix: 127.1.2.3, prefix_len: 32}}`:                                              false,
		`{source_ip: {address_prefix: 127.1.2.3, prefix_len: 32}}`:                                                     true,
		`{remote_ip: {address_prefix: 10.0.0.0, prefix_len: 8}}`:                                                       false,
		`{remote_ip: {address_prefix: 0.0.0.0}}`:                                                                       true,
		`{remote_ip: {address_prefix: "::", prefix_len: 0}}`:                                                           false,
		`{header: {name: X-One, string_match: {exact: "1"}}}`:                                                          true,
		`{header: {name: x-two, string_match: {exact: "a,b"}}}`:                                                        false,
		`{header: {name: x-two, string_match: {exact: "a"}}}`:                                                          true,
		`{header: {name: x-none, string_match: {exact: "a"}, invert_match: true}}`:                                     false,
		`{header: {name: x-none, present_match: false}}`:                                                               true,
		`{header: {name: x-one, present_match: true}}`:                                                                 true,
		`{header: {name: x-one, range_match: {start: 1, end: 2}}}`:                                                     true,
		`{header: {name: x-none, string_match: {exact: ""}, treat_missing_header_as_empty: true}}`:                     true,
		`{header: {name: ":authority", string_match: {exact: "shop.EXAMPLE:80", ignore_case: true}}}`:                  true,
		`{header: {name: host, string_match: {prefix: "Shop."}}}`:                                                      true,
		`{url_path: {path: {exact: /a/b/c}}}`:                                                                          true,
		`{url_path: {path: {suffix: "q=1"}}}`:                                                                          false,
		`{and_ids: {ids: [{any: true}, {header: {name: x-one}}]}}`:                                                     true,
		`{and_ids: {ids: [{any: true}, {header: {name: x-none}}]}}`:                                                    false,
		`{or_ids: {ids: [{header: {name: x-none}}, {any: true}]}}`:                                                     true,
		claim("iss", `{string_match: {exact: i}}`):                                                                     true,
		claim("iss", `{string_match: {exact: j}}`):                                                                     false,
		claim("gone", `{string_match: {prefix: ""}}`):                                                                  false,
		claim("gone", `{present_match: true}`):                                                                         false,
		claim("iss", `{present_match: true}`):                                                                          true,
		claim("none", `{null_match: {}}`):                                                                              true,
		claim("gone", `{null_match: {}}`):                                                                              false,
		claim("admin", `{bool_match: true}`):                                                                           true,
		claim("admin", `{string_match: {exact: "true"}}`):                                                              true,
		claim("level", `{double_match: {exact: 7}}`):                                                                   true,
		claim("level", `{double_match: {range: {start: 1, end: 7}}}`):                                                  false,
		claim("level", `{string_match: {exact: "7"}}`):                                                                 true,
		claim("groups", `{list_match: {one_of: {string_match: {exact: x}}}}`):                                          true,
		claim("groups", `{list_match: {one_of: {string_match: {exact: "5"}}}}`):                                        true,
		claim("groups", `{list_match: {one_of: {string_match: {exact: z}}}}`):                                          false,
		claim("groups", `{string_match: {exact: x}}`):                                                                  false,
		claim("role", `{list_match: {one_of: {string_match: {exact: customer}}}}`):                                     false,
		claim("role", `{or_match: {value_matchers: [{string_match: {exact: a}}, {string_match: {exact: customer}}]}}`): true,
		claim("deep/a.b", `{string_match: {exact: c}}`):                                                                true,
		claim("iss/x", `{string_match: {exact: c}}`):                                                                   false,
	} {
		f, err := newFilter(t, `{rules: {policies: {p: {permissions: [{any: true}], principals: [`+m+`]}}}}`)
		if err != nil {
			t.Errorf("%s: %v", m, err)
			continue
		}
		if got := f.Decode(sample()); got != want {
			t.Errorf("%s: %v, want %v", m, got, want)
		}
	}
}

func TestPermissions(t *testing.T) {
	template := func(s string) string {
		return `{uri_template: {name: t, typed_config: {"@type": "type.googleapis.com/envoy.extensions.path.match.uri_template.v3.UriTemplateMatchConfig", path_template: "` + s + `"}}}`
	}
	for m, want := range map[string]bool{
		`{any: true}`: true,
		`{not_rule: {header: {name: ":method", string_match: {exact: GET}}}}`:                false,
		`{and_rules: {rules: [{destination_port: 8080}, {url_path: {path: {prefix: /a}}}]}}`: true,
		`{or_rules: {rules: [{destination_port: 1}, {destination_port: 8080}]}}`:             true,
		`{destination_ip: {address_prefix: 127.9.9.9, prefix_len: 32}}`:                      true,
		`{destination_port: 8081}`:                                       false,
		`{destination_port_range: {start: 8080, end: 8081}}`:             true,
		`{destination_port_range: {start: 8000, end: 8080}}`:             false,
		`{requested_server_name: {suffix: .example}}`:                    true,
		`{header: {name: ":path", string_match: {exact: "/a/b/c?q=1"}}}`: true,
		`{sourced_metadata: {metadata_matcher: {filter: f, path: [{key: k}], value: {present_match: true}, invert: true}}}`: true,
		template("/a/*/c"):     true,
		template("/a/*"):       false,
		template("/a/**"):      true,
		template("/{x}/b/{y}"): true,
		template("/{x=**}"):    true,
		template("/a/**/c"):    false, // refused
		template("/*/*/*/*"):   false,
	} {
		f, err := newFilter(t, `{rules: {policies: {p: {principals: [{any: true}], permissions: [`+m+`]}}}}`)
		if err != nil {
			if want {
				t.Errorf("%s: %v", m, err)
			}
			continue
		}
		if got := f.Decode(sample()); got != want {
			t.Errorf("%s: %v, want %v", m, got, want)
		}
	}
}

func TestActions(t *testing.T) {
	const yes, no = `{permissions: [{any: true}], principals: [{any: true}]}`, `{permissions: [{any: true}], principals: [{header: {name: x-none}}]}`
	for _, c := range []struct {
		rules, details string
		shadow         string
	}{
		{`{}`, "", ""},
		{`{rules: {}}`, "rbac_access_denied_matched_policy[none]", ""},
		{`{rules: {policies: {p: ` + yes + `}}}`, "", ""},
		{`{rules: {policies: {p: ` + no + `}}}`, "rbac_access_denied_matched_policy[none]", ""},
		{`{rules: {action: DENY}}`, "", ""},
		{`{rules: {action: DENY, policies: {p: ` + no + `}}}`, "", ""},
		{`{rules: {action: DENY, policies: {"ns[x]-policy[y z]-rule[0]": ` + yes + `, a: ` + no + `}}}`, "rbac_access_denied_matched_policy[ns[x]-policy[y_z]-rule[0]]", ""},
		{`{rules: {action: DENY, policies: {b: ` + yes + `, a: ` + yes + `}}}`, "rbac_access_denied_matched_policy[a]", ""},
		{`{rules: {action: LOG, policies: {b: ` + yes + `}}}`, "", ""},
		{`{shadow_rules: {action: DENY, policies: {s: ` + yes + `}}, shadow_rules_stat_prefix: x_}`, "", "s denied"},
		{`{shadow_rules: {policies: {s: ` + yes + `}}, shadow_rules_stat_prefix: x_}`, "", "s allowed"},
	} {
		f, err := newFilter(t, c.rules)
		if err != nil {
			t.Fatalf("%s: %v", c.rules, err)
		}
		x := sample()
		ok := f.Decode(x)
		body, _ := x.Local()
		if ok != (c.details == "") || x.Details != c.details || !ok && (body != "RBAC: access denied" || x.Response.Status != 403) {
			t.Errorf("%s: %v %d %q %s, want %s", c.rules, ok, x.Response.Status, body, x.Details, c.details)
		}
		if c.shadow != "" {
			m := x.Metadata[Namespace]
			if got := m["x_shadow_effective_policy_id"].JSON() + " " + m["x_shadow_engine_result"].JSON(); strings.ReplaceAll(got, `"`, "") != c.shadow {
				t.Errorf("%s: %s", c.rules, got)
			}
		}
	}
}

// Certificates without URI are known by their DNS names, else by their subject.
func TestOtherCertificates(t *testing.T) {
	f, err := newFilter(t, `{rules: {policies: {p: {permissions: [{any: true}], principals: [{authenticated: {principal_name: {contains: good}}}]}}}}`)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		peer *x509.Certificate
		want bool
	}{
		{nil, false}, {&x509.Certificate{}, false},
		{&x509.Certificate{DNSNames: []string{"bad", "good"}}, true},
		{&x509.Certificate{Subject: pkix.Name{CommonName: "good"}}, true},
		{&x509.Certificate{DNSNames: []string{"bad"}, Subject: pkix.Name{CommonName: "good"}}, false},
	} {
		x := sample()
		x.Conn.PeerURI, x.Conn.Peer = "", c.peer
		if got := f.Decode(x); got != c.want {
			t.Errorf("%+v: %v", c.peer, got)
		}
	}
}

type fakeRoute struct{ config any }

func (r fakeRoute) FilterConfig(string) any { return r.config }

func TestPerRoute(t *testing.T) {
	f, err := newFilter(t, `{rules: {}}`)
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]bool{
		`{}`:                              true,
		`{rbac: {rules: {}}}`:             false,
		`{rbac: {rules: {action: DENY}}}`: true,
	} {
		c, err := Factory(nil).PerRoute(proxytest.Pack(t, text, &rbacv3.RBACPerRoute{}))
		if err != nil {
			t.Fatal(err)
		}
		x := sample()
		x.Route = fakeRoute{c}
		if got := f.Decode(x); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
}

func TestRefusedConfigurations(t *testing.T) {
	policy := func(p string) string { return `{rules: {policies: {p: ` + p + `}}}` }
	principal := func(p string) string { return policy(`{permissions: [{any: true}], principals: [` + p + `]}`) }
	const at = `rules.policies["p"]`
	for _, c := range []struct{ text, want string }{
		{`{matcher: {}}`, "matcher: not supported"},
		{`{track_per_rule_stats: true}`, "track_per_rule_stats: not supported"},
		{`{rules: {audit_logging_options: {}}}`, "rules.audit_logging_options: not supported"},
		{policy(`{permissions: [{any: true}], principals: [{any: true}], condition: {}}`), at + ".condition: not supported"},
		{policy(`{permissions: [{any: true}]}`), at + ".principals: empty"},
		{policy(`{principals: [{any: true}]}`), at + ".permissions: empty"},
		{principal(`{}`), at + ".principals[0].identifier: missing"},
		{principal(`{any: false}`), at + ".principals[0].any: must be true"},
		{principal(`{filter_state: {key: x}}`), at + ".principals[0].filter_state: not supported"},
		{principal(`{and_ids: {ids: [{not_id: {}}]}}`), at + ".principals[0].and_ids.ids[0].not_id.identifier: missing"},
		{principal(`{remote_ip: {address_prefix: x}}`), at + `.principals[0].remote_ip.address_prefix: "x" is no address`},
		{principal(`{remote_ip: {address_prefix: 1.2.3.4, prefix_len: 33}}`), at + `.principals[0].remote_ip.prefix_len: 33 is too long`},
		{principal(`{remote_ip: {address_prefix: "::ffff:1.2.3.4", prefix_len: 128}}`), at + `.principals[0].remote_ip.address_prefix`},
		{principal(`{header: {name: x, string_match: {safe_regex: {regex: "a)(b"}}}}`), at + `.principals[0].header.string_match.safe_regex: error parsing regexp`},
		{principal(`{header: {name: x, string_match: {custom: {name: x}}}}`), at + `.principals[0].header.string_match.custom: not supported`},
		{principal(`{metadata: {filter: f, path: [{key: a}]}}`), at + `.principals[0].metadata.value: missing`},
		{principal(`{sourced_metadata: {metadata_source: ROUTE}}`), at + `.principals[0].sourced_metadata.metadata_source: not supported`},
		{policy(`{principals: [{any: true}], permissions: [{destination_port: 70000}]}`), at + ".permissions[0].destination_port: 70000 is no port"},
	} {
		_, err := newFilter(t, c.text)
		if err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%s:\n got %v\nwant %s", c.text, err, c.want)
		}
	}
}
