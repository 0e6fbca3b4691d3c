package jwt

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
)

// stateCases pick requirements by what another filter has left.
func (s *suite) stateCases() {
	set := func(key, format string, skip bool) object {
		return object{"object_key": key, "factory_key": "envoy.string", "skip_if_empty": skip, "format_string": object{"text_format_source": object{"inline_string": format}}}
	}
	w := s.add(&world{name: "state", provider: map[string]object{"p": {"issuer": "i", "local_jwks": inline(goodKeys())}, "q": {"issuer": "q", "local_jwks": inline(goodKeys())}},
		filter: object{"filter_state_rules": object{"name": "tenant", "requires": object{"t-blue": only("p"), "t-green": only("q"), "t-": only("p"), "t--": only("q"), "t-both": allOf(only("p"), only("q")), "t-open": object{}}}},
		rules:  list{object{"match": object{"prefix": "/rule"}, "requires": only("q")}, object{"match": object{"prefix": "/open"}}},
		before: list{object{"name": "state", "typed_config": object{
			"@type": types + "extensions.filters.http.set_filter_state.v3.Config", "on_request_headers": list{set("other", "x", false), set("tenant", "t-%REQ(x-tenant)%", true)},
		}}},
		routes: list{route("/off", object{"disabled": true})}})
	for _, tenant := range []string{"", "blue", "green", "BLUE", "both", "open", "none", "blue "} {
		for _, path := range []string{"/", "/rule", "/open", "/off"} {
			for name, h := range sorted(map[string][]string{"no token": {}, "i": {"authorization", "Bearer " + jwt("RS256", good)}, "q": {"authorization", "Bearer " + jwt("RS256", claims("iss", `"q"`))}}) {
				if tenant != "" {
					h = append([]string{"x-tenant", tenant}, h...)
				}
				s.get(w, fmt.Sprint(tenant, " ", name), path, h...)
			}
		}
	}
}

// levelCases have the filter's settings at the levels above a route.
func (s *suite) levelCases() {
	perRoute := func(m object) object {
		m["@type"] = types + "extensions.filters.http.jwt_authn.v3.PerRouteConfig"
		return object{filterName: m}
	}
	// generic is a setting that any filter may have.
	generic := func(prefix string, config object) object {
		config["@type"] = types + "config.route.v3.FilterConfig"
		r := route(prefix, nil)
		r["typed_per_filter_config"] = object{filterName: config}
		return r
	}
	host := func(name string, config object, routes ...any) object {
		h := object{"name": name, "domains": list{name}, "routes": routes}
		if config != nil {
			h["typed_per_filter_config"] = perRoute(config)
		}
		return h
	}
	w := s.add(&world{name: "levels", provider: map[string]object{"p": {"issuer": "i", "local_jwks": inline(goodKeys())}, "q": {"issuer": "q", "local_jwks": inline(goodKeys())}},
		require: map[string]object{"p": only("p"), "q": only("q")}, rules: list{everywhere(only("p"))}})
	w.hosts = list{
		host("plain", nil, route("/off", object{"disabled": true}), route("/", nil)),
		host("closed", object{"requirement_name": "q"}, route("/off", object{"disabled": true}), route("/p", object{"requirement_name": "p"}), route("/", nil)),
		host("generic", nil, generic("/off", object{"disabled": true}), generic("/p", object{"config": object{"@type": types + "extensions.filters.http.jwt_authn.v3.PerRouteConfig", "requirement_name": "q"}}), route("/", nil)),
		host("open", object{"disabled": true}, route("/p", object{"requirement_name": "p"}), route("/", nil)),
	}
	w.top = perRoute(object{"requirement_name": "q"})
	for _, h := range []string{"plain", "closed", "generic", "open", "svc.test"} {
		for _, path := range []string{"/", "/off", "/p", "/x"} {
			for name, l := range sorted(map[string][]string{"no token": {}, "i": {"authorization", "Bearer " + jwt("ES256", good)}, "q": {"authorization", "Bearer " + jwt("ES256", claims("iss", `"q"`))}}) {
				s.get(w, h+" "+name, path, l...).host = h
			}
		}
	}
}

// keyServer publishes key sets, good and bad, by path.
func keyServer(t *testing.T) (port int) {
	sets := map[string]string{
		"/good": goodKeys(), "/foreign": set(named("other-rsa"), named("other-p256")), "/html": "<html>", "/empty": `{"keys":[]}`, "/none": "{}", "/nothing": "", "/array": "[]",
		"/keys": `{"keys":{}}`, "/bad": `{"keys":[{"kty":"RSA"}]}`,
	}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, ok := sets[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Write([]byte(text))
	}))
	t.Cleanup(srv.Close)
	return srv.Listener.Addr().(*net.TCPAddr).Port
}

// remoteCases take keys from a server.
func (s *suite) remoteCases() {
	w := s.add(&world{name: "remote", provider: map[string]object{}, require: map[string]object{}})
	add := func(name, path, cluster string, more object) {
		r := object{"http_uri": object{"uri": "http://keys.test" + path, "cluster": cluster, "timeout": "10s"}}
		for k, v := range more {
			r[k] = v
		}
		w.provider[name] = object{"issuer": "i", "remote_jwks": r}
		w.require[name] = only(name)
	}
	for _, path := range []string{"good", "foreign", "html", "empty", "none", "nothing", "array", "keys", "bad", "missing"} {
		add(path, "/"+path, "keys", object{"cache_duration": "300s"})
	}
	add("async", "/good", "keys", object{"async_fetch": object{"fast_listener": false}})
	add("fast", "/good", "keys", object{"async_fetch": object{"fast_listener": true, "failed_refetch_duration": "1s"}, "retry_policy": object{"num_retries": 1}})
	add("asyncbad", "/html", "keys", object{"async_fetch": object{}})
	add("closed", "/good", "nobody", nil)
	w.require["either"] = anyOf(only("html"), only("good"))
	for _, alg := range algorithms {
		for name := range sorted(w.require) {
			for what, tok := range sorted(map[string]string{"good": jwt(alg, good), "spoilt": spoil(jwt(alg, good), 2)}) {
				r := s.get(w, name+" "+what+" "+alg, "/r/"+name+"/", "authorization", "Bearer "+tok)
				r.alg = alg
				if alg[0] == 'H' && slices.Contains([]string{"good", "async", "fast", "either"}, name) {
					r.refuse(localSecrets, "Jwks doesn't have key to match kid or alg from Jwt")
				}
			}
		}
	}
	for name := range sorted(w.require) {
		s.get(w, name+" without token", "/r/"+name+"/")
		s.get(w, name+" expired", "/r/"+name+"/", "authorization", "Bearer "+jwt("RS256", claims("exp", "1")))
		s.get(w, name+" without kid", "/r/"+name+"/", "authorization", "Bearer "+token{alg: "RS256", header: `{"alg":"RS256"}`, claims: good}.String())
	}
}
