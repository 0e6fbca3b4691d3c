package jwt

import (
	"fmt"
	"maps"
)

// matcherCases try matchers of headers and parameters in rules (/j/...) and, since
// a route may switch the filter off, in routes (/o/...).
func (s *suite) matcherCases() {
	text := func(kind, v string) object { return object{"string_match": object{kind: v}} }
	with := func(m object, name string, v any) object {
		m = maps.Clone(m)
		m[name] = v
		return m
	}
	headers := []object{
		text("exact", "1"), text("exact", "1,2"), text("prefix", "1"), text("suffix", "2"), text("contains", "1"), {"string_match": object{"safe_regex": object{"regex": "[0-9]"}}},
		{"string_match": object{"safe_regex": object{"regex": "1,2"}}}, {"range_match": object{"start": "1", "end": "2"}}, {"present_match": true}, {"present_match": false}, {},
		{"string_match": object{"exact": "A", "ignore_case": true}},
	}
	for _, h := range headers[:8] {
		headers = append(headers, with(h, "invert_match", true), with(h, "treat_missing_header_as_empty", true), with(with(h, "treat_missing_header_as_empty", true), "invert_match", true))
	}
	headers = append(headers, with(headers[8], "invert_match", true), with(headers[9], "invert_match", true))
	params := []object{text("exact", "1"), text("prefix", "1"), text("suffix", "2"), text("contains", "a b"), {"string_match": object{"safe_regex": object{"regex": "[0-9]"}}}, {"present_match": true}, {"present_match": false}, {}, text("exact", "")}

	w := s.add(&world{name: "matchers", provider: map[string]object{"p": {"issuer": "i", "local_jwks": inline(goodKeys())}}})
	add := func(path string, more object) {
		match := object{"prefix": "/j" + path}
		maps.Copy(match, more)
		w.rules = append(w.rules, object{"match": match, "requires": only("p")})
		off := route("/o"+path, object{"disabled": true})
		maps.Copy(off["match"].(object), more)
		w.routes = append(w.routes, off)
	}
	for i, h := range headers {
		add(fmt.Sprintf("/h%d/", i), object{"headers": list{with(h, "name", "X-H")}})
	}
	for i, q := range params {
		add(fmt.Sprintf("/q%d/", i), object{"query_parameters": list{with(q, "name", "q")}})
	}
	w.rules = append(w.rules, object{"match": object{"prefix": "/o/"}, "requires": only("p")})

	values := [][]string{{}, {"1"}, {"2"}, {"1", "2"}, {"2", "1"}, {"1,2"}, {"1", "1"}, {""}, {"1", ""}, {"", "1"}, {"a"}, {"A", "1"}, {"1.0"}, {"x1y"}, {" 1 "}, {"1", "2", "3"}}
	for i := range headers {
		for _, v := range values {
			var h []string
			for _, one := range v {
				h = append(h, "x-h", one)
			}
			s.get(w, fmt.Sprint(headers[i], v), fmt.Sprintf("/j/h%d/", i), h...)
			s.get(w, fmt.Sprint("route ", headers[i], v), fmt.Sprintf("/o/h%d/", i), h...)
		}
	}
	for i := range params {
		for _, q := range []string{"", "?", "?q", "?q=", "?q=1", "?q=12", "?q=1&q=2", "?q=2&q=1", "?x=1&q=1", "?Q=1", "?%71=1", "?q=%31", "?q=a%20b", "?q=a+b", "?q=1;x", "?qq=1", "?q=1&", "?&q=1", "?q==1", "?x?q=1"} {
			s.get(w, fmt.Sprint(params[i], q), fmt.Sprintf("/j/q%d/%s", i, q))
			s.get(w, fmt.Sprint("route ", params[i], q), fmt.Sprintf("/o/q%d/%s", i, q))
		}
	}
}
