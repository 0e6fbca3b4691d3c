package routing

import (
	"fmt"
	"math/rand/v2"
)

const rbac = "envoy.filters.http.rbac"

// table makes random route configurations. Names, paths and values are of few letters,
// so that much matches.
type table struct{ *rand.Rand }

func (t table) one(of ...string) string { return of[t.IntN(len(of))] }
func (t table) chance(percent int) bool { return t.IntN(100) < percent }
func (t table) segment() string         { return t.one("a", "b", "A", "ab", "a.b", "1") }
func (t table) value() string           { return t.one("a", "b", "ab", "A", "5", "15") }
func (t table) field() string           { return t.one("x-a", "x-b", "x-c") }

func (t table) path() string {
	p := ""
	for range 1 + t.IntN(3) {
		p += "/" + t.segment()
	}
	return p
}

func (t table) text() object {
	m := object{t.one("exact", "prefix", "suffix", "contains"): t.value()}
	if t.chance(20) {
		m["ignore_case"] = true
	}
	if t.chance(20) {
		return object{"safe_regex": object{"regex": t.one("[ab]+", "a|5", ".*b", "1?5")}}
	}
	return m
}

func (t table) header() object {
	m := object{"name": t.one("x-a", "x-b", "X-C", ":method", ":authority", ":path", "host")}
	switch t.IntN(5) {
	case 0, 1:
		m["string_match"] = t.text()
	case 2:
		m["present_match"] = t.chance(50)
	case 3:
		m["range_match"] = object{"start": t.IntN(10), "end": 10 + t.IntN(10)}
	}
	if t.chance(30) {
		m["invert_match"] = true
	}
	if t.chance(20) {
		m["treat_missing_header_as_empty"] = true
	}
	return m
}

func (t table) match() (m object, kind string) {
	m = object{}
	switch kind = t.one("prefix", "path", "separated", "regex", "template", "prefix"); kind {
	case "prefix":
		m["prefix"] = t.one("/", t.path(), t.path()+"/")
	case "path":
		m["path"] = t.path()
	case "separated":
		m["path_separated_prefix"] = t.path()
	case "regex":
		m["safe_regex"] = object{"regex": t.one("/[ab]+", "/a.*", t.path()+"|/b", "^"+t.path()+"$", "(?i)/a/.*", ".*1")}
	case "template":
		m["path_match_policy"] = object{"name": "t", "typed_config": object{"@type": types + "extensions.path.match.uri_template.v3.UriTemplateMatchConfig",
			"path_template": t.one("/{x}/{y}", "/{x}/b/{y=**}", "/a/*/{x}", "/{x}/**", "/{x}/{y=*}.b")}}
		if t.chance(30) {
			m["path_match_policy"].(object)["typed_config"].(object)["path_template"] = "/{x}/{y=**}"
		}
	}
	if kind != "regex" && kind != "template" && t.chance(20) {
		m["case_sensitive"] = false
	}
	if t.chance(35) {
		m["headers"] = list{t.header()}
	}
	if t.chance(15) {
		q := object{"name": t.one("p", "q")}
		if t.chance(60) {
			q["string_match"] = t.text()
		} else if t.chance(60) {
			q["present_match"] = t.chance(50)
		}
		m["query_parameters"] = list{q}
	}
	if t.chance(10) {
		m["cookies"] = list{object{"name": t.one("c", "d"), "string_match": t.text(), "invert_match": t.chance(30)}}
	}
	if t.chance(5) {
		m["grpc"] = object{}
	}
	if t.chance(5) {
		m["runtime_fraction"] = object{"default_value": object{"numerator": 100 * t.IntN(2)}}
	}
	return m, kind
}

// mutations fills in the four lists that all levels have.
func (t table) mutations(into object, percent int) {
	for _, of := range []string{"request", "response"} {
		if t.chance(percent) {
			var add list
			for range 1 + t.IntN(2) {
				// Of x-a hosts are made.
				name, value := "x-a", t.one("v", "w", "")
				if t.chance(70) {
					name, value = t.one("x-b", "X-New"), t.one("v", "w", "100%%", "")
				}
				add = append(add, object{"header": object{"key": name, "value": value},
					"append_action":    t.one("APPEND_IF_EXISTS_OR_ADD", "ADD_IF_ABSENT", "OVERWRITE_IF_EXISTS_OR_ADD", "OVERWRITE_IF_EXISTS"),
					"keep_empty_value": t.chance(50)})
			}
			into[of+"_headers_to_add"] = add
		}
		if t.chance(percent / 2) {
			into[of+"_headers_to_remove"] = list{t.one("x-a", "X-B", "x-new", "x-up")}
		}
	}
}

func (t table) substitution() object {
	pattern := t.one("(/a)", "([ab])", "^/(.*)/(.*)$", "/([^/]*)")
	return object{"pattern": object{"regex": pattern}, "substitution": t.one("/z", `/\1/n`, `/$1\0`)}
}

func (t table) forward(kind string) object {
	a := object{"cluster": "up"}
	if t.chance(20) {
		w := object{"name": "up", "weight": 1}
		t.mutations(w, 80)
		if t.chance(20) {
			w["host_rewrite_literal"] = "weighted.test"
		}
		a = object{"weighted_clusters": object{"clusters": list{w}}}
	}
	switch {
	case kind == "template":
		if t.chance(70) {
			a["path_rewrite_policy"] = object{"name": "t", "typed_config": object{"@type": types + "extensions.path.rewrite.uri_template.v3.UriTemplateRewriteConfig",
				"path_template_rewrite": t.one("/{x}", "/n/{x}", "/n/{x}/m", "/{x}.{x}")}}
		}
	case t.chance(25) && kind != "regex":
		a["prefix_rewrite"] = t.one("/", "/n", "/n/")
	case t.chance(25):
		a["regex_rewrite"] = t.substitution()
	}
	switch t.IntN(8) {
	case 0:
		a["host_rewrite_literal"] = "other.test"
	case 1:
		a["host_rewrite_header"] = "x-a"
	case 2:
		a["host_rewrite_path_regex"] = object{"pattern": object{"regex": "^/([a-z]+).*$"}, "substitution": `\1.test`}
	}
	if t.chance(40) {
		a["append_x_forwarded_host"] = true
	}
	if t.chance(10) {
		a["hash_policy"] = list{object{"header": object{"header_name": "x-a"}}, object{"cookie": object{"name": t.one("c", "d")}}}
	}
	return a
}

func (t table) redirect(kind string) object {
	a := object{"response_code": t.one("MOVED_PERMANENTLY", "FOUND", "SEE_OTHER", "TEMPORARY_REDIRECT", "PERMANENT_REDIRECT")}
	switch t.IntN(4) {
	case 0:
		a["https_redirect"] = true
	case 1:
		a["scheme_redirect"] = t.one("https", "http")
	}
	if t.chance(50) {
		a["host_redirect"] = "moved.test"
	}
	if t.chance(30) {
		a["port_redirect"] = 8443
	}
	switch t.IntN(4) {
	case 0:
		a["path_redirect"] = t.one("/n", "/n?z=1")
	case 1:
		if kind != "regex" && kind != "template" {
			a["prefix_rewrite"] = "/n"
		}
	case 2:
		a["regex_rewrite"] = t.substitution()
	}
	if t.chance(30) {
		a["strip_query"] = true
	}
	return a
}

func (t table) route(name string) object {
	m, kind := t.match()
	r := object{"name": name, "match": m}
	switch n := t.IntN(10); {
	case n < 7:
		r["route"] = t.forward(kind)
	case n < 9:
		r["redirect"] = t.redirect(kind)
	default:
		r["direct_response"] = object{"status": 418, "body": object{"inline_string": name}}
	}
	t.mutations(r, 25)
	// Which route it was is seen in every answer.
	add, _ := r["response_headers_to_add"].(list)
	r["response_headers_to_add"] = append(add, object{"header": object{"key": "route", "value": name}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"})
	if t.chance(40) {
		r["typed_per_filter_config"] = object{rbac: object{"@type": types + "extensions.filters.http.rbac.v3.RBACPerRoute", "rbac": object{"rules": t.rules()}}}
	}
	return r
}

func (t table) rules() object {
	policies := object{}
	for i := range 1 + t.IntN(2) {
		policies[fmt.Sprint("p", i)] = object{"permissions": list{t.rule(2, "rules", t.permission)}, "principals": list{t.rule(2, "ids", t.principal)}}
	}
	return object{"action": t.one("ALLOW", "DENY"), "policies": policies}
}

// rule combines permissions or principals.
func (t table) rule(depth int, name string, leaf func() object) object {
	if depth == 0 || t.chance(50) {
		return leaf()
	}
	below := list{t.rule(depth-1, name, leaf), t.rule(depth-1, name, leaf)}
	switch t.IntN(3) {
	case 0:
		return object{"and_" + name: object{name: below}}
	case 1:
		return object{"or_" + name: object{name: below}}
	}
	return object{map[string]string{"rules": "not_rule", "ids": "not_id"}[name]: below[0]}
}

func (t table) permission() object {
	switch t.IntN(4) {
	case 0:
		return object{"any": true}
	case 1:
		return object{"url_path": object{"path": object{t.one("prefix", "suffix", "contains"): t.one("/a", "b", "1")}}}
	case 2:
		return object{"requested_server_name": object{"exact": t.one("", "a")}}
	}
	return object{"header": t.header()}
}

func (t table) principal() object {
	switch t.IntN(5) {
	case 0:
		return object{"any": true}
	case 1:
		return object{"direct_remote_ip": object{"address_prefix": t.one("127.0.0.0", "10.0.0.0"), "prefix_len": 8}}
	case 2:
		return object{"authenticated": object{}}
	case 3:
		return object{"url_path": object{"path": t.text()}}
	}
	return object{"header": t.header()}
}

// host is a virtual host of some domains.
func (t table) host(name string, domains ...any) object {
	h := object{"name": name, "domains": domains}
	var routes list
	for i := range 4 + t.IntN(14) { // on both sides of where tables are indexed
		routes = append(routes, t.route(fmt.Sprint(name, "-", i)))
	}
	h["routes"] = routes
	t.mutations(h, 30)
	return h
}

// config has a virtual host for each of n, and some whose domains overlap.
func (t table) config(name string, n int, mostSpecific bool) object {
	var hosts list
	for i := range n {
		hosts = append(hosts, t.host(fmt.Sprint(name, "-h", i), fmt.Sprint("h", i, ".test")))
	}
	for i, d := range []string{"*.test", "*.a.test", "*-a.test", "a.*", "a.b.*", "A.b.test", "a.b.test:8080"} {
		hosts = append(hosts, t.host(fmt.Sprint(name, "-d", i), d))
	}
	c := object{"name": name, "virtual_hosts": hosts, "most_specific_header_mutations_wins": mostSpecific}
	t.mutations(c, 50)
	return c
}
