package main

import (
	"encoding/json"
	"fmt"
)

// What Envoy and usher-proxy both read, in the words of Envoy's Bootstrap message.

type object = map[string]any
type list = []any

const (
	envoyType   = "type.googleapis.com/envoy.extensions."
	managerType = envoyType + "filters.network.http_connection_manager.v3.HttpConnectionManager"
	routerType  = envoyType + "filters.http.router.v3.Router"
	jwtType     = envoyType + "filters.http.jwt_authn.v3.JwtAuthentication"
	serverTLS   = envoyType + "transport_sockets.tls.v3.DownstreamTlsContext"
	clientTLS   = envoyType + "transport_sockets.tls.v3.UpstreamTlsContext"
	h2Type      = envoyType + "upstreams.http.v3.HttpProtocolOptions"
)

// bootstrap has a listener for each kind of work on HTTP/1.1. `mesh` hands on to
// `mtls` over mutual TLS: one process is both ends of a hop between sidecars.
func (s *site) bootstrap() object {
	server := object{"@type": serverTLS, "require_client_certificate": true, "common_tls_context": s.tlsContext()}
	client := object{"@type": clientTLS, "common_tls_context": s.tlsContext()}
	mtls := s.listener("mtls", manager("upstream"))
	mtls["filter_chains"].(list)[0].(object)["transport_socket"] = object{"name": "tls", "typed_config": server}
	peer := s.cluster("peer", "mtls")
	peer["transport_socket"] = object{"name": "tls", "typed_config": client}
	admin := object{"address": object{"pipe": object{"path": s.File("admin.sock")}}}
	return object{"admin": admin, "static_resources": object{
		"listeners": list{
			s.listener("plain", manager("upstream")),
			s.listener("jwt", manager("upstream", s.jwtFilter(nil))),
			s.listener("jwt-cache", manager("upstream", s.jwtFilter(object{"jwt_cache_size": 1000}))),
			s.listener("mesh", manager("peer")),
			mtls,
		},
		"clusters": list{s.cluster("upstream", "upstream"), peer},
	}}
}

// bootstrapH2 stands alone, since a proxy that does not take it is measured with
// everything else nevertheless.
func (s *site) bootstrapH2() object {
	m := manager("upstream-h2")
	m["codec_type"] = "HTTP2"
	c := s.cluster("upstream-h2", "upstream-h2")
	c["typed_extension_protocol_options"] = object{"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": object{
		"@type": h2Type, "explicit_http_config": object{"http2_protocol_options": object{}},
	}}
	return object{"static_resources": object{"listeners": list{s.listener("h2", m)}, "clusters": list{c}}}
}

// writeRoutes writes a file whose listener plain has so many routes: /r/0/, /r/1/ and so
// on, to the upstream under another path.
func (s *site) writeRoutes(file string, n int) error {
	var routes list
	for i := range n {
		routes = append(routes, object{"match": object{"prefix": fmt.Sprintf("/r/%d/", i)},
			"route": object{"cluster": "upstream", "prefix_rewrite": "/"}})
	}
	m := manager("upstream")
	m["route_config"] = object{"virtual_hosts": list{object{"name": "all", "domains": list{"*"}, "routes": routes}}}
	text, err := json.Marshal(object{"static_resources": object{"listeners": list{s.listener("plain", m)}, "clusters": list{s.cluster("upstream", "upstream")}}})
	if err != nil {
		return err
	}
	return s.write(file, text)
}

func address(port int) object {
	return object{"socket_address": object{"address": "127.0.0.1", "port_value": port}}
}

func (s *site) listener(name string, manager object) object {
	return object{"name": name, "address": address(s.Port[name]), "filter_chains": list{
		object{"filters": list{object{"name": "http", "typed_config": manager}}},
	}}
}

// manager sends everything to the cluster, after the filters.
func manager(cluster string, filters ...any) object {
	router := object{"name": "envoy.filters.http.router", "typed_config": object{"@type": routerType}}
	return object{
		"@type": managerType, "stat_prefix": "bench", "http_filters": append(filters, router),
		"route_config": object{"virtual_hosts": list{object{"name": "all", "domains": list{"*"}, "routes": list{
			object{"match": object{"prefix": "/"}, "route": object{"cluster": cluster}},
		}}}},
	}
}

// jwtFilter verifies every token anew if cache is nil.
func (s *site) jwtFilter(cache object) object {
	provider := object{"issuer": s.Issuer, "forward": true, "local_jwks": object{"filename": s.File("jwks.json")}}
	if cache != nil {
		provider["jwt_cache_config"] = cache
	}
	return object{"name": "envoy.filters.http.jwt_authn", "typed_config": object{
		"@type": jwtType, "providers": object{"bench": provider},
		"rules": list{object{"match": object{"prefix": "/"}, "requires": object{"provider_name": "bench"}}},
	}}
}

func (s *site) cluster(name, port string) object {
	return object{"name": name, "type": "STATIC", "connect_timeout": "1s", "load_assignment": object{
		"cluster_name": name, "endpoints": list{object{"lb_endpoints": list{
			object{"endpoint": object{"address": address(s.Port[port])}},
		}}},
	}}
}

// tlsContext is the same at both ends: who they are and whom they take.
func (s *site) tlsContext() object {
	file := func(name string) object { return object{"filename": s.File(name)} }
	return object{
		"tls_certificates": list{object{"certificate_chain": file("workload.crt"), "private_key": file("workload.key")}},
		"validation_context": object{
			"trusted_ca":                    file("ca.crt"),
			"match_typed_subject_alt_names": list{object{"san_type": "URI", "matcher": object{"exact": s.SPIFFE}}},
		},
	}
}
