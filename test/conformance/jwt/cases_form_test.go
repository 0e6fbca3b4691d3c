package jwt

import "strings"

// formCases try tokens whose sections are not what they should be.
func (s *suite) formCases() {
	w := s.add(&world{name: "form", provider: map[string]object{
		"p": {"issuer": "i", "local_jwks": inline(goodKeys())},
	}, rules: list{everywhere(only("p"))}})
	for _, alg := range []string{"RS256", "ES256", "HS256", "EdDSA"} {
		tok := jwt(alg, good)
		p := strings.Split(tok, ".")
		h, b, g := p[0], p[1], p[2]
		for name, t := range sorted(map[string]string{
			"nothing": "", "a dot": ".", "two dots": "..", "three dots": "...", "one section": h, "no payload": h + ".." + g, "no header": "." + b + "." + g,
			"JWE": tok + "." + g + "." + g, "no base64 header": "*." + b + "." + g,
			"star in payload": h + ".*" + b + "." + g, "star in signature": tok + "*", "plus": h + "." + b + "." + "+" + g[1:],
			"header of one": "A." + b + "." + g, "payload of one": h + ".A." + g, "signature of one": h + "." + b + ".A", "two more": tok + "AA",
			"much padding": tok + "====", "comma": tok + "," + tok,
			"upper case": strings.ToUpper(tok), "reversed": g + "." + b + "." + h, "percent": strings.Replace(tok, ".", "%2e", 1),
			"twice": tok + tok, "tab behind": tok + "\t", "space behind": tok + "  ", "newline text": tok + `\n`,
		}) {
			s.get(w, alg+" "+name, "/", "authorization", "Bearer "+t)
		}
		if r := s.get(w, alg+" one more", "/", "authorization", "Bearer "+tok+"A"); alg == "ES256" {
			r.refuse(byteForByte, "Jwt verification fails")
		}
		s.get(w, alg+" a star first", "/", "authorization", "Bearer *"+tok).refuse(byteForByte, sectionTexts[0])
		s.get(w, alg+" quotes", "/", "authorization", `Bearer "`+tok+`"`).refuse(byteForByte, sectionTexts[0])
		for i := range p {
			change := func(to string) string {
				q := []string{h, b, g}
				q[i] = to
				return "Bearer " + strings.Join(q, ".")
			}
			where := " in section " + string(rune('1'+i))
			s.get(w, alg+" padding"+where, "/", "authorization", change(p[i]+strings.Repeat("=", (4-len(p[i])%4)%4))).refuse(looseBase64, sectionTexts[i])
			s.get(w, alg+" space"+where, "/", "authorization", change(p[i][:5]+" "+p[i][5:])).refuse(looseBase64, sectionTexts[i])
			s.get(w, alg+" bits"+where, "/", "authorization", change(loosen(p[i]))).refuse(looseBase64, sectionTexts[i])
			if len(p[i])%4 == 0 { // nothing to pad, no bits to set: it is the token itself
				s.requests[len(s.requests)-3].same()
				s.requests[len(s.requests)-1].same()
			}
		}
		s.get(w, alg+" long", "/", "authorization", "Bearer "+jwt(alg, claims("x", `"`+strings.Repeat("y", 11000)+`"`)))
		s.get(w, alg+" too long", "/", "authorization", "Bearer "+jwt(alg, claims("x", `"`+strings.Repeat("y", 13000)+`"`))).refuse(tooLong, badForm)
		for name, t := range sorted(map[string]string{"h..p.s": h + ".." + b + "." + g, "h.p.s.": tok + ".", ".h.p.s": "." + tok, "h.p..s": h + "." + b + ".." + g, "h.p.s..": tok + ".."}) {
			s.get(w, alg+" "+name, "/", "authorization", "Bearer "+t).
				refuse(emptySections, "Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections")
		}
	}
}

// sectionTexts refuse a section that is not base64url.
var sectionTexts = [3]string{"Jwt header is an invalid Base64url encoded", "Jwt payload is an invalid Base64url encoded", "Jwt signature is an invalid Base64url encoded"}

// loosen sets the bits of the last character that carry nothing to one; it gives
// the section itself if there are none.
func loosen(section string) string {
	const chars = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	bits := map[int]int{2: 15, 3: 3}[len(section)%4]
	last := strings.IndexByte(chars, section[len(section)-1])
	return section[:len(section)-1] + string(chars[last|bits])
}
