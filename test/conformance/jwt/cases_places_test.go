package jwt

import (
	"fmt"
	"slices"
	"strings"
)

// placeWorld has a provider for each kind of place, all of them with the same keys.
func (s *suite) placeWorld() *world {
	p := func(more object) object {
		m := object{"issuer": "i", "local_jwks": inline(set(named("ed")))}
		for k, v := range more {
			m[k] = v
		}
		return m
	}
	header := func(l ...any) object { return object{"from_headers": l} }
	w := s.add(&world{name: "places", provider: map[string]object{
		"usual":   p(nil),
		"kept":    p(object{"forward": true}),
		"plain":   p(header(object{"name": "X-Token"})),
		"scheme":  p(header(object{"name": "X-Token", "value_prefix": "Token "})),
		"equals":  p(header(object{"name": "x-token", "value_prefix": "jwt="})),
		"basic":   p(header(object{"name": "Authorization", "value_prefix": "Basic "})),
		"bare":    p(header(object{"name": "Authorization"})),
		"several": p(header(object{"name": "x-one"}, object{"name": "x-two", "value_prefix": "Two "}, object{"name": "x-two", "value_prefix": "2 "})),
		"param":   p(object{"from_params": list{"jwt"}}),
		"odd":     p(object{"from_params": list{"a b", "t+k", "t%k"}}),
		"params":  p(object{"from_params": list{"one", "two"}}),
		"keptp":   p(object{"from_params": list{"jwt"}, "forward": true}),
		"cookie":  p(object{"from_cookies": list{"session"}}),
		"cookies": p(object{"from_cookies": list{"one", "two"}}),
		"keptc":   p(object{"from_cookies": list{"session"}, "forward": true}),
		"all":     p(object{"from_headers": list{object{"name": "x-token"}}, "from_params": list{"jwt"}, "from_cookies": list{"session"}}),
		"keptall": p(object{"from_headers": list{object{"name": "x-token"}}, "from_params": list{"jwt"}, "from_cookies": list{"session"}, "forward": true}),
	}, require: map[string]object{}})
	for n := range sorted(w.provider) {
		w.require[n] = only(n)
	}
	return w
}

// placeCases put tokens, good and bad, into every place in every spelling.
func (s *suite) placeCases() {
	w := s.placeWorld()
	ok, bad := jwt("EdDSA", good), jwt("EdDSA", claims("exp", "1"))
	s.headerCases(w, ok, bad)
	s.paramCases(w, ok, bad)
	s.cookieCases(w, ok, bad)
	// Everything at once: every set of places, each empty, good, bad or odd.
	choices := []string{"", ok, bad, "x"}
	for i := range 4 * 4 * 4 {
		h, p, c := choices[i%4], choices[i/4%4], choices[i/16]
		for _, at := range []string{"all", "keptall"} {
			path, headers := "/r/"+at+"/p?a=1", []string(nil)
			if p != "" {
				path += "&jwt=" + p + "&z=2"
			}
			if h != "" {
				headers = append(headers, "x-token", h)
			}
			if c != "" {
				headers = append(headers, "cookie", "a=1; session="+c+"; b=2")
			}
			s.get(w, fmt.Sprint(at, " ", i), path, headers...)
		}
	}
}

func (s *suite) headerCases(w *world, ok, bad string) {
	for _, at := range []string{"usual", "kept", "plain", "scheme", "equals", "basic", "bare", "several"} {
		path := "/r/" + at + "/"
		for _, name := range []string{"authorization", "Authorization", "x-token", "X-TOKEN", "x-one", "x-two"} {
			for _, v := range []string{"", "T", "Bearer", "Bearer ", "Bearer T", "Bearer  T", "bearer T", "BEARER T", "Bearer\tT", "Bearer T ", "BearerT", "Basic T", "basic T", "Token T",
				"token T", "jwt=T", "jwt= T", "JWT=T", "jwt=", "Two T", "2 T", "x T", "T,T", "x, Bearer T", "x jwt=T", "Bearer B", "B", "Bearer x", "Bearer Bearer T", "Bearer T, Bearer T"} {
				if v == "" && name != "authorization" || at == "kept" && (v == "bearer T" || v == "BEARER T") {
					continue
				}
				value := strings.NewReplacer("T", ok, "B", bad).Replace(v)
				// Words with these letters in them are meant as words.
				value = strings.NewReplacer(bad+"earer", "Bearer", bad+"asic", "Basic", ok+"oken", "Token", ok+"wo", "Two", "JW"+ok, "JWT", bad+"EARER", "BEARER").Replace(value)
				r := s.get(w, at+" "+name+": "+v, path, name, value)
				headerException(r, at, strings.ToLower(name), v, ok)
			}
		}
	}
	for _, at := range []string{"usual", "plain", "bare", "several"} {
		path := "/r/" + at + "/"
		for name, l := range sorted(map[string][]string{
			"two good": {"authorization", "Bearer " + ok, "authorization", "Bearer " + ok}, "good and bad": {"authorization", "Bearer " + ok, "authorization", "Bearer " + bad},
			"two tokens": {"x-token", ok, "x-token", ok}, "token and bad": {"x-token", ok, "x-token", bad}, "bad and token": {"x-token", bad, "x-token", ok},
			"one and two": {"x-one", ok, "x-two", "Two " + ok}, "one bad, two good": {"x-one", bad, "x-two", "2 " + ok}, "both prefixes": {"x-two", "Two " + ok, "x-two", "2 " + bad},
			"header and param": {"authorization", "Bearer " + ok, "other", "x"}, "empty first": {"x-token", "", "x-token", ok}, "other first": {"authorization", "Basic x", "authorization", "Bearer " + ok},
		}) {
			r := s.get(w, at+" "+name, path, l...)
			if at == "usual" && name == "other first" {
				r.refuse(prefixFirst, missing)
				continue
			}
			s.get(w, at+" "+name+" and a parameter", path+"?access_token="+ok, l...)
			s.get(w, at+" "+name+" and a bad parameter", path+"?access_token="+bad, l...)
		}
	}
}

// headerException says which headers usher reads in another way. v is the value
// with T for a good token and B for a bad one.
func headerException(r *request, at, name, v, ok string) {
	anyPrefix := at == "plain" && name == "x-token" || at == "bare" && name == "authorization" || at == "several" && name == "x-one"
	auth := name == "authorization"
	switch {
	case at == "usual" && auth && (v == "bearer T" || v == "BEARER T"):
		r.as(anyScheme, "", name, "Bearer "+ok)
	case at == "basic" && auth && v == "basic T":
		r.as(anyScheme, "", name, "Basic "+ok)
	case (at == "usual" || at == "kept") && auth && v == "x, Bearer T", at == "equals" && name == "x-token" && v == "x jwt=T":
		r.refuse(prefixFirst, missing)
	case anyPrefix && slices.Contains([]string{"Basic T", "basic T", "Token T", "token T", "Two T", "2 T", "x T", "Bearer Bearer T"}, v):
		r.refuse(looseBase64, sectionTexts[0]) // as long as a word must be for Envoy to decode it
	}
}

func (s *suite) paramCases(w *world, ok, bad string) {
	coded := strings.ReplaceAll(ok, ".", "%2E")
	for _, at := range []string{"usual", "param", "keptp", "params", "odd"} {
		for _, q := range []string{
			"", "?", "?access_token=T", "?access_token=B", "?access_token=", "?access_token", "?Access_Token=T", "?acc%65ss_token=T", "?access%5ftoken=T", "?access_token=C", "?access_token=%20T",
			"?access_token=T%20", "?access_token=+T", "?access_token=Bearer%20T", "?jwt=T", "?jwt=B", "?JWT=T", "?jwt=C", "?%6awt=T", "?j%77t=T&x=1", "?x=1&jwt=T", "?x=1&jwt=T&y=2", "?jwt=T&", "?&jwt=T",
			"?&&jwt=T&&", "?jwt=T;x=1", "?x=1;jwt=T", "?jwt==T", "?=T", "?jwt=T=", "?jwt=T%3D", "?jwt=T?x=1", "?x=?jwt=T", "?jwt=x%2", "?jwt=x%zz", "?jwt=%00T", "?jwt=T%0a",
			"?jwt=T&jwt=B", "?jwt=B&jwt=T", "?jwt=T&jwt=T", "?jwt=&jwt=T", "?jwt=T&jwt=", "?one=T&two=T", "?one=T&two=B", "?two=T", "?one=B", "?two=B&one=T",
			"?a%20b=T", "?a+b=T", "?t%2Bk=T", "?t+k=T", "?t%25k=T", "?jwt=T&a=%20&b=+&c=%2B&d=%c3%a9&e=%2f&f=a/b&g=a:b&h='\"&i=~!*()", "?z=1&jwt=T&a=2&z=3", "?jwt=T&flag", "?jwt=T&flag=",
			"?jwt=T&x=a=b", "?jwt=T&%61=1&%3D=2&%26=3", "?b=2&a=1&jwt=T",
		} {
			query := strings.NewReplacer("T", ok, "C", coded, "B", bad).Replace(q)
			query = strings.NewReplacer("JW"+ok, "JWT", ok+"oken", "Token", bad+"earer", "Bearer").Replace(query)
			paramException(s.get(w, at+" "+q, "/r/"+at+"/p"+query), at, q, ok)
		}
	}
}

// paramException says which queries usher reads in another way.
func paramException(r *request, at, q, ok string) {
	jwtParam := at == "param" || at == "keptp"
	switch {
	case jwtParam && q == "?jwt=T%0a", at == "usual" && q == "?access_token=T%20":
		r.refuse(looseBase64, sectionTexts[2])
	case at == "usual" && q == "?access_token=%20T":
		r.refuse(looseBase64, sectionTexts[0])
	case jwtParam && q == "?jwt=T&jwt=B":
		r.refuse(everyToken, "Jwt is expired")
	case jwtParam && q == "?jwt=T&jwt=":
		r.refuse(everyToken, badForm)
	case at == "param" && slices.Contains([]string{"?&jwt=T", "?&&jwt=T&&", "?z=1&jwt=T&a=2&z=3", "?jwt=T&flag", "?jwt=T&%61=1&%3D=2&%26=3", "?b=2&a=1&jwt=T"}, q), at == "param" && len(q) > 50:
		r.as(queryKept, "/r/param/p?jwt="+ok)
		r.to = without(r.path, "jwt=")
	}
}

// without gives a path less the parameters that begin with a text.
func without(path, parameter string) string {
	path, query, _ := strings.Cut(path, "?")
	pairs := slices.DeleteFunc(strings.Split(query, "&"), func(p string) bool { return strings.HasPrefix(p, parameter) })
	if query = strings.Join(pairs, "&"); query != "" {
		path += "?" + query
	}
	return path
}

func (s *suite) cookieCases(w *world, ok, bad string) {
	for _, at := range []string{"cookie", "keptc", "cookies"} {
		for _, c := range []string{
			"", "session=T", "session=B", "session=", "session", "Session=T", "session=T; a=b", "a=b; session=T", "a=b; session=T; c=d", "a=b;session=T;c=d", "session=\"T\"", "session=\"T", " session = T ", "session=T ;a=b",
			"session=T; session=B", "session=B; session=T", "session=T; session=T", "session=; session=T", "session=T, a=b", "xsession=T", "sessionx=T", "session=T=", "session=T;", ";session=T", "; ; session=T",
			"one=T; two=T", "one=T; two=B", "two=T", "two=B; one=T", "one=T",
		} {
			value := strings.NewReplacer("T", ok, "B", bad).Replace(c)
			r := s.get(w, at+" "+c, "/r/"+at+"/", "cookie", value)
			switch {
			case at == "cookies":
			case c == "session=T; session=B":
				r.refuse(everyToken, "Jwt is expired")
			case c == " session = T ":
				r.as(looseCookie, "", "cookie", "session="+ok)
				r.cookie = value[1 : len(value)-1]
			}
		}
		for name, l := range sorted(map[string][]string{
			"two fields": {"cookie", "a=b", "cookie", "session=" + ok}, "two tokens": {"cookie", "session=" + ok, "cookie", "session=" + bad}, "two tokens, bad first": {"cookie", "session=" + bad, "cookie", "session=" + ok},
		}) {
			r := s.get(w, at+" "+name, "/r/"+at+"/", l...)
			if name == "two tokens" && at != "cookies" {
				r.refuse(everyToken, "Jwt is expired")
			}
		}
	}
}
