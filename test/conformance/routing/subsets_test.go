package routing

import (
	"fmt"
	"net/http"
	"testing"
)

// TestSameSubsets holds that routes' metadata narrow a cluster to the same endpoints.
func TestSameSubsets(t *testing.T) {
	ports := servers(t)
	labels := []object{{"v": 1, "e": "dev"}, {"v": 2, "e": "dev"}, {"v": 2, "e": "prod"}, {"e": list{"dev", "prod"}}, {}}
	selectors := list{object{"keys": list{"v"}}, object{"keys": list{"e", "v"}}}
	reduced := list{object{"keys": list{"v"}}, object{"keys": list{"v", "e"}, "fallback_policy": "KEYS_SUBSET", "fallback_keys_subset": list{"v"}}}
	configs := []object{
		{"subset_selectors": selectors},
		{"subset_selectors": selectors, "fallback_policy": "ANY_ENDPOINT"},
		{"subset_selectors": selectors, "fallback_policy": "DEFAULT_SUBSET", "default_subset": object{"e": "dev"}},
		{"subset_selectors": selectors, "fallback_policy": "DEFAULT_SUBSET", "default_subset": object{"e": "no"}},
		{"subset_selectors": selectors, "fallback_policy": "DEFAULT_SUBSET", "default_subset": object{"e": "no"}, "panic_mode_any": true},
		{"subset_selectors": selectors, "fallback_policy": "NO_FALLBACK", "panic_mode_any": true},
		{"fallback_policy": "NO_FALLBACK"},
		{"fallback_policy": "DEFAULT_SUBSET", "default_subset": object{"e": "dev"}},
		{"subset_selectors": list{object{"keys": list{"e"}}}},
		{"subset_selectors": list{object{"keys": list{"e"}}}, "list_as_any": true},
		{"subset_selectors": list{object{"keys": list{"e"}}}, "list_as_any": true, "fallback_policy": "DEFAULT_SUBSET", "default_subset": object{"e": "prod"}},
		{"subset_selectors": list{object{"keys": list{"v"}, "fallback_policy": "NO_FALLBACK"}}, "fallback_policy": "ANY_ENDPOINT"},
		{"subset_selectors": list{object{"keys": list{"v"}, "fallback_policy": "ANY_ENDPOINT"}}},
		{"subset_selectors": list{object{"keys": list{"v"}, "fallback_policy": "DEFAULT_SUBSET"}}, "default_subset": object{"e": "prod"}},
		{"subset_selectors": reduced},
		{"subset_selectors": reduced, "fallback_policy": "ANY_ENDPOINT"},
	}
	asks := []object{nil, {"v": 1}, {"v": 2}, {"v": 3}, {"v": "2"}, {"e": "dev"}, {"e": "prod"}, {"e": list{"dev", "prod"}},
		{"v": 2, "e": "prod"}, {"v": 2, "e": "no"}, {"v": 9, "e": "no"}, {"x": 1}, {"v": 2, "x": 1}}
	match := func(m object) object { return object{"filter_metadata": object{"envoy.lb": m}} }
	var clusters, routes list
	var paths []string
	for i, config := range configs {
		name := fmt.Sprint("c", i)
		c := balanced(name, ports, object{"lb_subset_config": config})
		for k, e := range c["load_assignment"].(object)["endpoints"].(list)[0].(object)["lb_endpoints"].(list) {
			e.(object)["metadata"] = match(labels[k])
		}
		clusters = append(clusters, c)
		for k, ask := range asks {
			path := fmt.Sprintf("/%s/%d", name, k)
			to := object{"cluster": name}
			switch {
			case ask == nil:
			case k%2 == 0: // of the route
				to["metadata_match"] = match(ask)
			default: // of the cluster, before another of the route
				to = object{"metadata_match": match(object{"v": 7}), "weighted_clusters": object{"clusters": list{object{"name": name, "weight": 1, "metadata_match": match(ask)}}}}
			}
			routes = append(routes, object{"match": object{"path": path}, "route": to})
			paths = append(paths, path)
		}
	}
	both(t, clusters, routes, func(port, admin int) (out []string) {
		client := &http.Client{Transport: &http.Transport{}}
		defer client.CloseIdleConnections()
		for i := range configs {
			for k, ask := range asks {
				out = append(out, fmt.Sprintf("%v, asked for %v: %s", configs[i], ask, asked(client, port, paths[i*len(asks)+k], "", "", 15)))
			}
			// Envoy has the subsets once in each thread, and counts lb_subsets_active and _created so.
			for _, name := range []string{"selected", "fallback", "removed"} {
				out = append(out, fmt.Sprintf("%v: %s%s", configs[i], name, counted(t, admin, fmt.Sprint("c", i), "lb_subsets_"+name)))
			}
		}
		return out
	})
}
