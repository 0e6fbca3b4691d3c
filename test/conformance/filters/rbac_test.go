package filters

import "testing"

// TestRBAC: verdicts, and what is counted under which names.
func TestRBAC(t *testing.T) {
	const (
		get  = "policies: {p: {permissions: [{header: {name: ':method', string_match: {exact: GET}}}], principals: [{any: true}]}}"
		open = "policies: {p: {permissions: [{url_path: {path: {prefix: /open}}}], principals: [{any: true}]}}"
	)
	guarded := func(name, fields string, routes string) *world {
		return &world{name: name, routes: routes, counters: []string{"envoy_http_rbac_"},
			filters: "[{name: rbac, typed_config: {'@type': type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC, " + fields + "}}]",
			asks:    []ask{{path: "/open"}, {path: "/other"}, {method: "POST", path: "/open", body: "x"}, {method: "DELETE", path: "/own"}, {path: "/own"}, {path: "/none"}}}
	}
	compare(t, []*world{
		guarded("allow", "rules: {"+get+"}", ""),
		guarded("deny", "rules: {action: DENY, "+open+"}, rules_stat_prefix: mine", ""),
		guarded("dot", "rules: {action: DENY, "+open+"}, rules_stat_prefix: mine., shadow_rules: {"+get+"}, shadow_rules_stat_prefix: theirs_", ""),
		guarded("shadow", "shadow_rules: {action: DENY, "+get+"}", ""),
		guarded("both", "rules: {"+open+"}, shadow_rules: {"+get+"}, shadow_rules_stat_prefix: x.y", ""),
		guarded("nothing", "rules_stat_prefix: none", ""),
		guarded("routes", "rules: {"+get+"}, rules_stat_prefix: of_filter",
			"[{match: {prefix: /own}, route: {cluster: up}, typed_per_filter_config: {rbac: {'@type': type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBACPerRoute, rbac: {rules: {action: DENY, "+get+"}, rules_stat_prefix: of_route, shadow_rules: {"+open+"}}}}},"+
				" {match: {prefix: /none}, route: {cluster: up}, typed_per_filter_config: {rbac: {'@type': type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBACPerRoute}}},"+
				" {match: {prefix: /}, route: {cluster: up}}]"),
	})
}
