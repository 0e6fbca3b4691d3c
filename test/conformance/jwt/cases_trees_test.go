package jwt

import (
	"fmt"
	"strings"
)

// places are where the trees' providers look: each has one of its own but the last
// two, which share theirs.
var places = []string{"x-a", "x-b", "x-c", "param", "bearer"}

// treeWorlds have providers that differ in what they take, and requirements made
// at random.
func (s *suite) treeWorlds(n int) []*world {
	var out []*world
	for i := range n {
		w := &world{name: fmt.Sprint("tree", i), require: map[string]object{}, provider: map[string]object{
			"a": {"issuer": "a", "local_jwks": inline(goodKeys()), "from_headers": list{object{"name": "x-a"}}, "claim_to_headers": list{object{"header_name": "x-sub-a", "claim_name": "sub"}}},
			"b": {"issuer": "b", "local_jwks": inline(goodKeys()), "from_headers": list{object{"name": "x-b"}}, "audiences": list{"aud-b"}, "forward": true},
			"c": {"local_jwks": inline(goodKeys()), "from_headers": list{object{"name": "x-c"}}, "payload_in_metadata": "c", "failed_status_in_metadata": "c-failed"},
			"d": {"issuer": "d", "local_jwks": inline(set(named("ed"))), "from_params": list{"d"}, "forward_payload_header": "x-payload-d", "failed_status_in_metadata": "d-failed"},
			"e": {"issuer": "e", "local_jwks": inline(goodKeys()), "forward": true, "payload_in_metadata": "e", "require_expiration": true},
		}}
		if i%2 == 1 { // two that read the same places
			w.provider["f"] = object{"issuer": "f", "local_jwks": inline(set(named("rsa"))), "payload_in_metadata": "f"}
		}
		for n := range sorted(w.provider) {
			w.require["only-"+n] = only(n)
		}
		for j := range 8 {
			w.require[fmt.Sprint("t", j)] = s.tree(w, 3)
		}
		out = append(out, s.add(w))
	}
	return out
}

// tree makes a requirement of at most a depth.
func (s *suite) tree(w *world, depth int) object {
	leaf := func() object {
		switch s.rnd.IntN(12) {
		case 0:
			return object{"provider_and_audiences": object{"provider_name": pick(s, []string{"a", "b", "c"}), "audiences": list{"aud-b", "aud-x"}}}
		case 1:
			return object{}
		case 2:
			if s.rnd.IntN(2) == 0 { // by itself, it is about all providers
				return pick(s, []object{allowMissing, allowFailed})
			}
		}
		names := []string{"a", "b", "c", "d", "e"}
		if w.provider["f"] != nil {
			names = append(names, "f", "e")
		}
		return only(pick(s, names))
	}
	if depth == 0 || depth < 3 && s.rnd.IntN(3) == 0 {
		return leaf()
	}
	var l list
	for range 2 + s.rnd.IntN(2) {
		l = append(l, s.tree(w, depth-1))
	}
	if s.rnd.IntN(3) == 0 {
		return allOf(l...)
	}
	switch s.rnd.IntN(5) {
	case 0:
		l = append(l, allowMissing)
	case 1:
		l = append(l, allowFailed)
	}
	return anyOf(l...)
}

// bypassWorld has requirements that let requests without a token pass.
func (s *suite) bypassWorld() *world {
	w := s.treeWorlds(1)[0]
	w.name = "bypass"
	for i, t := range []object{
		allowMissing, allowFailed, anyOf(allowMissing, allowFailed), allOf(allowMissing, only("a")),
		allOf(only("a"), allowMissing), allOf(allowFailed, allowMissing), anyOf(only("a"), only("b"), allowMissing), allOf(anyOf(only("a"), allowMissing), anyOf(only("e"), allowMissing)),
	} {
		w.require[fmt.Sprint("t", i)] = t
	}
	return w
}

// treeCases send tokens to random requirements: in each place none, a good one, or
// one that is bad in some way.
func (s *suite) treeCases() {
	for _, w := range append(s.treeWorlds(8), s.bypassWorld()) {
		for i := range 280 {
			s.treeCase(w, i)
		}
	}
}

func (s *suite) treeCase(w *world, i int) {
	tree := w.require[fmt.Sprint("t", i%8)]
	path := fmt.Sprintf("/r/t%d/", i%8)
	var what []string
	var headers []string
	var alone []*request
	for _, place := range places {
		name, tok, provider := s.someToken(w, place)
		if tok == "" {
			continue
		}
		what = append(what, place+" "+name)
		own := "/r/only-" + provider + "/"
		switch place {
		case "param":
			path += "?d=" + tok
			alone = append(alone, newRequest(w, "alone", own+"?d="+tok))
		case "bearer":
			headers = append(headers, "authorization", "Bearer "+tok)
			for _, reader := range []string{"e", "f"} {
				if w.provider[reader] != nil {
					alone = append(alone, newRequest(w, "alone", "/r/only-"+reader+"/", "authorization", "Bearer "+tok))
				}
			}
		default:
			headers = append(headers, place, tok)
			alone = append(alone, newRequest(w, "alone", own, place, tok))
		}
	}
	r := s.get(w, sketch(tree)+" with "+strings.Join(what, ", "), path, headers...)
	if strings.Contains(sketch(tree), "missing") {
		r.alone = alone
	}
	r.byItself = standsAlone(tree)
}

// standsAlone tells whether an allow_missing or allow_missing_or_failed is there
// that is not one of several in a requires_any.
func standsAlone(m object) bool {
	for kind, v := range m {
		switch kind {
		case "allow_missing", "allow_missing_or_failed":
			return true
		case "requires_all":
			for _, c := range v.(object)["requirements"].([]any) {
				if standsAlone(c.(object)) {
					return true
				}
			}
		case "requires_any":
			others := 0
			for _, c := range v.(object)["requirements"].([]any) {
				if c := c.(object); c["allow_missing"] == nil && c["allow_missing_or_failed"] == nil {
					others++
					if standsAlone(c) {
						return true
					}
				}
			}
			return others == 0
		}
	}
	return false
}

// someToken gives a token for a place, and what it is; none in half of the cases.
// own is the provider that it is meant for.
func (s *suite) someToken(w *world, place string) (what, tok, own string) {
	own = map[string]string{"x-a": "a", "x-b": "b", "x-c": "c", "param": "d", "bearer": "e"}[place]
	if w.provider["f"] != nil && place == "bearer" && s.rnd.IntN(2) == 0 {
		own = "f"
	}
	alg := "EdDSA"
	if own == "f" {
		alg = "RS256"
	}
	claims := func(iss, aud, exp string) string {
		return `{"iss":"` + iss + `","sub":"` + place + `","aud":"` + aud + `","exp":` + exp + `}`
	}
	kinds := []string{"", "", "", "", "good", "good", "good", "expired", "foreign", "other issuer", "no issuer", "spoilt", "malformed", "other audience", "unknown key"}
	switch what = pick(s, kinds); what {
	case "good":
		tok = jwt(alg, claims(own, "aud-b", unix(1e15)))
	case "expired":
		tok = jwt(alg, claims(own, "aud-b", "1"))
	case "foreign":
		tok = jwt(alg, claims("nobody", "aud-b", unix(1e15)))
	case "other issuer":
		tok = jwt(alg, claims(pick(s, []string{"a", "b", "d", "e"}), "aud-b", unix(1e15)))
	case "no issuer":
		tok = jwt(alg, `{"aud":"aud-b","exp":`+unix(1e15)+`}`)
	case "spoilt":
		tok = spoil(jwt(alg, claims(own, "aud-b", unix(1e15))), 2)
	case "malformed":
		tok = "a.b"
	case "other audience":
		tok = jwt(alg, claims(own, "else", unix(1e15)))
	case "unknown key":
		tok = token{alg: "EdDSA", key: "other-ed", claims: claims(own, "aud-b", unix(1e15))}.String()
	}
	return what, tok, own
}

// sketch writes a requirement in few words.
func sketch(m object) string {
	for kind, v := range m {
		switch kind {
		case "provider_name":
			return v.(string)
		case "provider_and_audiences":
			return v.(object)["provider_name"].(string) + "+aud"
		case "allow_missing":
			return "missing"
		case "allow_missing_or_failed":
			return "failed"
		}
		var parts []string
		for _, r := range v.(object)["requirements"].([]any) {
			parts = append(parts, sketch(r.(object)))
		}
		return strings.TrimPrefix(kind, "requires_") + "(" + strings.Join(parts, " ") + ")"
	}
	return "nothing"
}
