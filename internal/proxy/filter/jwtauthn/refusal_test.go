package jwtauthn

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	jwtv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/jwt_authn/v3"
	"google.golang.org/protobuf/types/known/anypb"
)

// lines reads a JSON log.
func lines(t *testing.T, log string) (out []map[string]any) {
	t.Helper()
	for l := range strings.Lines(log) {
		m := map[string]any{}
		if err := json.Unmarshal([]byte(l), &m); err != nil {
			t.Fatal(err)
		}
		delete(m, "time")
		delete(m, "level")
		out = append(out, m)
	}
	return out
}

// Each refusal has one line that says why, and no more of the token than issuer,
// kid and alg.
func TestRefusalLines(t *testing.T) {
	long := strings.Repeat("x", 200)
	for _, c := range []struct{ headers, claims, want string }{
		{"", "", `{"filter":"jwt","msg":"request refused","status":"Jwt is missing"}`},
		{"not a token", "", `{"filter":"jwt","msg":"request refused","provider":"p","reason":"it has 1 sections","status":"Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections"}`},
		{"", `{"iss":"i","aud":"a","exp":1700000000,"sub":"hush"}`, ""},
		{"", `{"iss":"i","aud":"a","exp":1699990000,"sub":"hush"}`,
			`{"alg":"EdDSA","filter":"jwt","issuer":"i","kid":"one","msg":"request refused","provider":"p","reason":"exp was 2h46m40s ago; clocks may differ by 1m0s","status":"Jwt is expired"}`},
		{"", `{"iss":"evil\n\u001b[31m\"é","sub":"hush"}`,
			`{"alg":"EdDSA","filter":"jwt","issuer":"evil\\n\\x1b[31m\\\"\\u00e9","kid":"one","msg":"request refused","provider":"p","status":"Jwt issuer is not configured"}`},
		{"", `{"iss":"` + long + `","sub":"hush"}`,
			`{"alg":"EdDSA","filter":"jwt","issuer":"` + long[:128] + `","kid":"one","msg":"request refused","provider":"p","status":"Jwt issuer is not configured"}`},
		{"", `{"iss":"i","aud":"other","sub":"hush"}`,
			`{"alg":"EdDSA","filter":"jwt","issuer":"i","kid":"one","msg":"request refused","provider":"p","reason":"aud is \"other\"; allowed is \"a\"","status":"Audiences in Jwt are not allowed"}`},
	} {
		var log strings.Builder
		f := newFilter(t, basic, Options{Log: jsonLog(&log)})
		x := get("/?q=hush")
		switch {
		case c.claims != "":
			x.Request.Header.Add("authorization", "Bearer "+token("one", c.claims))
		case c.headers != "":
			x.Request.Header.Add("authorization", "Bearer "+c.headers)
		}
		answer(f, x)
		got := ""
		if l := lines(t, log.String()); len(l) > 0 {
			b, err := json.Marshal(l[0])
			if err != nil || len(l) > 1 {
				t.Errorf("%d lines, %v", len(l), err)
			}
			got = string(b)
		}
		if got != c.want {
			t.Errorf("%s %s:\n got %s\nwant %s", c.headers, c.claims, got, c.want)
		}
		if strings.Contains(log.String(), "hush") {
			t.Errorf("a claim is shown: %s", log.String())
		}
	}
}

// Of several providers the line is about the one whose refusal is answered.
func TestRefusalLineOfAlternatives(t *testing.T) {
	var log strings.Builder
	f := newFilter(t, strings.Replace(twoProviders, "REQUIREMENT", "{requires_any: {requirements: [{provider_name: a}, {provider_name: b}]}}", 1), Options{Log: jsonLog(&log)})
	answer(f, get("/", bearer(token("one", `{"iss":"i","exp":1}`)), "x-b: "+token("one", `{"iss":"else"}`)))
	if l := lines(t, log.String()); len(l) != 1 || l[0]["status"] != "Jwt is expired" || l[0]["provider"] != "a" || l[0]["issuer"] != "i" {
		t.Errorf("%s", log.String())
	}
}

// Refusals for other reasons have their line, too.
func TestOtherRefusalLines(t *testing.T) {
	var log strings.Builder
	f := newFilter(t, outputs, Options{Log: jsonLog(&log)})
	answer(f, get("/", "x-token: tok "+token("one", `{"iss":"i","sub":"a\r\nhush"}`)))
	a, err := anypb.New(&jwtv3.PerRouteConfig{RequirementSpecifier: &jwtv3.PerRouteConfig_RequirementName{RequirementName: "nope"}})
	if err != nil {
		t.Fatal(err)
	}
	config, err := Factory(Options{}).PerRoute(a)
	if err != nil {
		t.Fatal(err)
	}
	x := get("/")
	x.Route = fakeRoute{config}
	answer(f, x)
	l := lines(t, log.String())
	if len(l) != 2 || l[0]["status"] != "invalid header value for: x-sub" || l[1]["status"] != "Wrong requirement_name: nope. It should be one of []" {
		t.Errorf("%s", log.String())
	}
}

// A flood costs a bounded number of lines, and none is lost in the count.
func TestRefusalFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		f := newFilter(t, basic, Options{Log: jsonLog(&log), Now: time.Now})
		flood := func(n int) {
			for i := range n {
				answer(f, get("/", bearer(fmt.Sprint(i))))
			}
		}
		flood(1000)
		time.Sleep(time.Second + time.Millisecond)
		synctest.Wait()
		flood(11)
		f.Close()
		time.Sleep(2 * time.Second)
		synctest.Wait()
		single, dropped := 0, 0.0
		all := lines(t, log.String())
		for _, l := range all {
			if n, ok := l["dropped"].(float64); ok {
				dropped += n
			} else {
				single++
			}
		}
		if single != 20 || dropped != 991 || len(all) != 22 {
			t.Errorf("%d lines of one, %v counted, %d in all", single, dropped, len(all))
		}
	})
}
