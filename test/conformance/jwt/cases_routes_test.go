package jwt

import (
	"fmt"
	"strings"
)

// routeCases try what picks a requirement: rules, routes, their absence.
func (s *suite) routeCases() {
	p := object{"issuer": "i", "local_jwks": inline(goodKeys())}
	rule := func(match object, requires any) object {
		r := object{"match": match}
		switch v := requires.(type) {
		case string:
			r["requirement_name"] = v
		case object:
			r["requires"] = v
		}
		return r
	}
	header := func(name string, more object) object {
		m := object{"name": name}
		for k, v := range more {
			m[k] = v
		}
		return m
	}
	query := header
	w := s.add(&world{name: "rules", provider: map[string]object{"p": p, "aud": {"issuer": "i", "local_jwks": inline(goodKeys()), "audiences": list{"x"}}},
		require: map[string]object{"named": only("p"), "open": {}, "aud": only("aud")},
		routes: list{
			route("/off", object{"disabled": true}), route("/per/named", object{"requirement_name": "named"}),
			route("/per/none", object{"requirement_name": "nowhere"}), route("/per/open", object{"requirement_name": "open"}),
		},
		rules: list{
			rule(object{"prefix": "/health"}, nil),
			rule(object{"path": "/exact"}, only("p")),
			rule(object{"path": "/Case", "case_sensitive": false}, only("p")),
			rule(object{"prefix": "/pre/", "case_sensitive": false}, only("aud")),
			rule(object{"safe_regex": object{"regex": "/v[0-9]+/(a|b)"}}, "named"),
			rule(object{"path_separated_prefix": "/sep"}, "aud"),
			rule(object{"prefix": "/h", "headers": list{header("x-h", object{"string_match": object{"exact": "1"}})}}, only("p")),
			rule(object{"prefix": "/h", "headers": list{header("x-h", object{"present_match": true}), header("x-g", object{"string_match": object{"prefix": "g"}, "invert_match": true})}}, only("aud")),
			rule(object{"prefix": "/h", "headers": list{header(":method", object{"string_match": object{"exact": "POST"}})}}, only("aud")),
			rule(object{"prefix": "/q", "query_parameters": list{query("a", object{"string_match": object{"exact": "1"}}), query("b", object{"present_match": true})}}, only("p")),
			rule(object{"prefix": "/q", "query_parameters": list{query("c", nil)}}, "aud"),
			rule(object{"path_match_policy": object{"name": "envoy.path.match.uri_template.uri_template_matcher", "typed_config": object{
				"@type": types + "extensions.path.match.uri_template.v3.UriTemplateMatchConfig", "path_template": "/t/{a}/*/x/{b=**}"}}}, only("aud")),
			rule(object{"connect_matcher": object{}}, only("aud")),
			rule(object{"prefix": "/last"}, "open"),
			rule(object{"prefix": "/last"}, only("p")),
		}})
	tok := jwt("ES256", good)
	paths := []string{
		"/", "/health", "/healthy", "/exact", "/exact/", "/exact?x=1", "/Exact", "/case", "/CASE", "/case/", "/pre/", "/PRE/x", "/pre", "/v1/a", "/v12/b", "/v1/c", "/v1/a/", "/x/v1/a", "/v1/a?q",
		"/sep", "/sep/", "/sep/x", "/sepx", "/sep?x", "/t/1/2/x/y/z", "/t/1/2/x/", "/t/1/2/x", "/t/1/x", "/t//2/x/y", "/last", "/last/x", "/off", "/off/x", "/per/named", "/per/none", "/per/open", "/per/nothing",
		"/q?a=1&b", "/q?a=1&b=2", "/q?b=&a=1", "/q?a=2&b=1", "/q?a=1", "/q?c", "/q?c=", "/q?C=1", "/q?a=1&c=3&b", "/q?a=2&a=1&b", "/q?%61=1&b", "/nobody", "/e%78act", "//exact", "/./exact", "/%2fexact",
	}
	for _, path := range paths {
		for name, h := range sorted(map[string][]string{"no token": {"x-n", "1"}, "good": {"authorization", "Bearer " + tok}, "bad": {"authorization", "Bearer x"}}) {
			s.get(w, name, path, h...)
		}
	}
	for _, h := range [][]string{{}, {"x-h", "1"}, {"x-h", "2"}, {"x-h", ""}, {"x-h", "1", "x-h", "2"}, {"x-h", "2", "x-h", "1"}, {"x-h", "1,2"}, {"x-h", "1", "x-h", "1"}, {"x-h", ""}, {"x-g", "g"}, {"x-h", "3", "x-g", ""}, {"x-h", "3", "x-g", "a", "x-g", "g"}, {"x-h", "3", "x-g", "g", "x-g", "a"}, {"x-h", "2", "x-g", "g1"}, {"x-h", "2", "x-g", "h"}, {"x-g", "x"}, {"X-H", "1"}} {
		for _, method := range []string{"GET", "POST", "HEAD", "OPTIONS", "PUT", "DELETE", "PATCH"} {
			s.get(w, fmt.Sprint(method, h), "/h", h...).method = method
			s.get(w, fmt.Sprint(method, h, " with token"), "/h", append([]string{"authorization", "Bearer " + tok}, h...)...).method = method
		}
	}
}

// browserCases try what browsers send ahead, and refusals without words.
func (s *suite) browserCases() {
	tok := jwt("RS256", good)
	for name, filter := range sorted(map[string]object{
		"plain": {}, "bypass": {"bypass_cors_preflight": true}, "strip": {"strip_failure_response": true}, "both": {"bypass_cors_preflight": true, "strip_failure_response": true, "stat_prefix": "both"},
	}) {
		w := s.add(&world{name: "cors-" + name, filter: filter, provider: map[string]object{"p": {"issuer": "i", "local_jwks": inline(goodKeys()), "audiences": list{"a"}}},
			require: map[string]object{"q": only("p")}, rules: list{everywhere(only("p"))}, routes: list{route("/none", object{"requirement_name": "nowhere"})}})
		for _, method := range []string{"OPTIONS", "GET", "POST"} {
			for _, h := range [][]string{
				{}, {"origin", "http://o"}, {"access-control-request-method", "GET"}, {"origin", "http://o", "access-control-request-method", "GET"}, {"origin", "", "access-control-request-method", "GET"},
				{"origin", "http://o", "access-control-request-method", ""}, {"origin", "http://o", "access-control-request-method", "GET", "access-control-request-headers", "authorization"},
			} {
				for _, path := range []string{"/", "/r/q/", "/none"} {
					s.get(w, fmt.Sprint(method, h), path, h...).method = method
					s.get(w, fmt.Sprint(method, h, " bad"), path, append([]string{"authorization", "Bearer x"}, h...)...).method = method
					s.get(w, fmt.Sprint(method, h, " good"), path, append([]string{"authorization", "Bearer " + tok}, h...)...).method = method
				}
			}
		}
		for _, t := range []string{jwt("RS256", claims("exp", "1")), jwt("RS256", claims("aud", `"b"`)), jwt("RS256", claims("iss", `"j"`)), spoil(tok, 2)} {
			s.get(w, "bad", "/x?y=z", "authorization", "Bearer "+t)
		}
	}
}

// realmCases try what stands in a challenge.
func (s *suite) realmCases() {
	w := s.add(&world{name: "realm", provider: map[string]object{"p": {"issuer": "i", "local_jwks": inline(goodKeys())}}, rules: list{everywhere(only("p"))}})
	for _, path := range []string{"/", "/a/b", "/a?b=c", "/?access_token=x", "/%22", "/a\"b", "/a\\b", "/a'b", "/é", "/a;b=c", "/a%20b", "/" + fmt.Sprint(make([]int, 130)), "/x?" + fmt.Sprint(make([]int, 130))} {
		for _, h := range [][]string{{}, {"authorization", "Bearer x"}, {"x-forwarded-proto", "https"}, {"x-forwarded-proto", "ftp"}, {"x-forwarded-host", "other"}, {"x-envoy-original-path", "/original"}} {
			r := s.get(w, fmt.Sprint(h), path, h...)
			if len(h) > 0 && h[0] == "x-envoy-original-path" && !strings.ContainsAny(path, "?\"\\é") && len(path) < 200 {
				r.as(internals, "")
			}
		}
	}
}

// grpcCases ask again as gRPC and without a body, for every few of the requests
// so far.
func (s *suite) grpcCases() {
	for i, r := range s.requests {
		if i%9 != 0 || r.why != "" || r.alg != "" || r.method != "GET" || r.alone != nil {
			continue
		}
		g := *r
		g.name, g.method = r.name+" as gRPC", "POST"
		kind := []string{"application/grpc", "application/grpc+proto", "application/grpc-web", "application/grpcx", "application/grpc;x=y"}[i/9%5]
		g.headers = append([][2]string{{"content-type", kind}, {"te", "trailers"}, {"content-length", "0"}}, r.headers...)
		h := *r
		h.name, h.method = r.name+" as HEAD", "HEAD"
		s.requests = append(s.requests, &g, &h)
	}
}
