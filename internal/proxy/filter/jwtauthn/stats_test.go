package jwtauthn

import (
	"reflect"
	"testing"

	"github.com/usher-mesh/usher/internal/proxy/filter"
)

// Counters go on when a configuration is replaced, and are told apart by both
// prefixes.
func TestCounters(t *testing.T) {
	var all Counters
	o := Options{Counters: &all, Fetch: &fakeKeys{set: testKeys()["one"].set(t)}}
	add := func(manager, text string) *Filter {
		f, err := Factory(o).New(filter.Config{Name: "jwt", StatPrefix: manager, Typed: parseConfig(t, text)})
		if err != nil {
			t.Fatal(err)
		}
		return f.(*Filter)
	}
	good := bearer(token("one", `{"iss":"i","aud":"a"}`))
	answer(add("in", basic), get("/", good))
	answer(add("in", basic), get("/"))
	answer(add("in", basic+"stat_prefix: own"), get("/", good))
	f := add("out", remote)
	answer(f, get("/", good))
	answer(f, get("/", good))
	got := map[string]uint64{}
	for _, c := range all.List(func(Source) (good, failed uint64) { return 7, 2 }) {
		if c.Value > 0 {
			got[c.Of.Manager+"/"+c.Of.Filter+"/"+c.Name] = c.Value
		}
	}
	want := map[string]uint64{
		"in//allowed": 1, "in//denied": 1, "in//jwt_cache_miss": 1, "in/own/allowed": 1, "in/own/jwt_cache_miss": 1,
		"out//allowed": 2, "out//jwt_cache_miss": 1, "out//jwt_cache_hit": 1, "out//jwks_fetch_success": 7, "out//jwks_fetch_failed": 2,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}
