package jwt

import (
	"maps"
	"slices"
)

// object and list are JSON, as bootstrap files hold it.
type (
	object = map[string]any
	list   = []any
)

const types = "type.googleapis.com/envoy."

// world is one listener: a filter, what stands before it, and routes. Paths that
// begin with /r/NAME/ ask for the requirement of that name.
type world struct {
	name     string
	filter   object            // JwtAuthentication, less what is below
	provider map[string]object // by name
	require  map[string]object // requirement_map
	rules    list
	before   list   // HTTP filters
	routes   list   // before the ones of require
	hosts    list   // virtual hosts, before the one for all
	top      object // typed_per_filter_config of the route configuration

	port int
}

// rsaOnly is a key set that does for worlds that are not about keys.
func inline(jwks string) object { return object{"inline_string": jwks} }

// only is a requirement of one provider.
func only(provider string) object { return object{"provider_name": provider} }

// anyOf and allOf are requires_any and requires_all.
func anyOf(l ...any) object { return object{"requires_any": object{"requirements": l}} }
func allOf(l ...any) object { return object{"requires_all": object{"requirements": l}} }

var (
	allowMissing = object{"allow_missing": object{}}
	allowFailed  = object{"allow_missing_or_failed": object{}}
)

// everywhere is a rule for all paths.
func everywhere(requires object) object {
	return object{"match": object{"prefix": "/"}, "requires": requires}
}

// config gives the filter's message.
func (w *world) config() object {
	m := object{"@type": types + "extensions.filters.http.jwt_authn.v3.JwtAuthentication", "providers": w.provider}
	maps.Copy(m, w.filter)
	if len(w.rules) > 0 {
		m["rules"] = w.rules
	}
	if len(w.require) > 0 {
		m["requirement_map"] = w.require
	}
	return m
}

// filterName is that of the JWT filter in every world.
const filterName = "envoy.filters.http.jwt_authn"

// routeConfig sends /r/NAME/ by the requirement of that name, and the rest by the
// rules.
func (w *world) routeConfig() object {
	routes := slices.Clone(w.routes)
	for _, n := range slices.Sorted(maps.Keys(w.require)) {
		routes = append(routes, route("/r/"+n+"/", object{"requirement_name": n}))
	}
	routes = append(routes, route("/", nil))
	hosts := append(slices.Clone(w.hosts), object{"name": "all", "domains": list{"*"}, "routes": routes})
	c := object{"name": w.name, "virtual_hosts": hosts}
	if w.top != nil {
		c["typed_per_filter_config"] = w.top
	}
	return c
}

// route leads to the upstream, with the filter's own PerRouteConfig unless it is
// nil.
func route(prefix string, perRoute object) object {
	r := object{"match": object{"prefix": prefix}, "route": object{"cluster": "upstream"}}
	if perRoute != nil {
		m := maps.Clone(perRoute)
		m["@type"] = types + "extensions.filters.http.jwt_authn.v3.PerRouteConfig"
		r["typed_per_filter_config"] = object{filterName: m}
	}
	return r
}

func (w *world) listener(log string) object {
	filters := slices.Clone(w.before)
	filters = append(filters,
		object{"name": filterName, "typed_config": w.config()},
		object{"name": "router", "typed_config": object{"@type": types + "extensions.filters.http.router.v3.Router"}})
	hcm := object{
		"@type": types + "extensions.filters.network.http_connection_manager.v3.HttpConnectionManager", "stat_prefix": w.name,
		"route_config": w.routeConfig(), "http_filters": filters, "generate_request_id": false,
		"access_log": list{object{"name": "file", "typed_config": object{
			"@type": types + "extensions.access_loggers.file.v3.FileAccessLog", "path": log,
			"log_format": object{"json_format": object{
				"case": "%REQ(x-case)%", "code": "%RESPONSE_CODE%", "flags": "%RESPONSE_FLAGS%", "details": "%RESPONSE_CODE_DETAILS%",
				"metadata": "%DYNAMIC_METADATA(envoy.filters.http.jwt_authn)%",
			}},
		}}},
	}
	return object{
		"name": w.name, "address": address(w.port),
		"filter_chains": list{object{"filters": list{object{"name": "hcm", "typed_config": hcm}}}},
	}
}

func address(port int) object {
	return object{"socket_address": object{"address": "127.0.0.1", "port_value": port}}
}

func cluster(name string, port int) object {
	endpoint := object{"endpoint": object{"address": address(port)}}
	return object{
		"name": name, "type": "STATIC", "connect_timeout": "1s",
		"load_assignment": object{"cluster_name": name, "endpoints": list{object{"lb_endpoints": list{endpoint}}}},
	}
}
