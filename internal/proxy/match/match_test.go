package match

import (
	"testing"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
)

// Fields of one name are matched one by one, and never joined.
func TestHeader(t *testing.T) {
	for _, c := range []struct {
		matcher string
		values  []string
		want    bool
	}{
		{`{"string_match": {"exact": "1"}}`, nil, false},
		{`{"string_match": {"exact": "1"}}`, []string{"2", "1"}, true},
		{`{"string_match": {"exact": "1"}}`, []string{"1", "2"}, true},
		{`{"string_match": {"exact": "1,2"}}`, []string{"1", "2"}, false},
		{`{"string_match": {"exact": "1,2"}}`, []string{"1,2"}, true},
		{`{"string_match": {"exact": "1"}, "invert_match": true}`, []string{"2", "1"}, false},
		{`{"string_match": {"exact": "1"}, "invert_match": true}`, []string{"2", "3"}, true},
		{`{"string_match": {"exact": "1"}, "invert_match": true}`, nil, false},
		{`{"string_match": {"exact": ""}, "treat_missing_header_as_empty": true}`, nil, true},
		{`{"string_match": {"exact": "1"}, "treat_missing_header_as_empty": true, "invert_match": true}`, nil, true},
		{`{"range_match": {"start": 1, "end": 3}}`, []string{"x", "2"}, true},
		{`{"range_match": {"start": 1, "end": 3}}`, []string{"3"}, false},
		{`{"present_match": true}`, []string{""}, true},
		{`{"present_match": false}`, nil, true},
		{`{"present_match": false, "invert_match": true}`, nil, false},
		{`{}`, nil, false},
		{`{"treat_missing_header_as_empty": true}`, nil, true},
		{`{"present_match": false, "treat_missing_header_as_empty": true}`, nil, false},
	} {
		var m routev3.HeaderMatcher
		if err := protojson.Unmarshal([]byte(c.matcher), &m); err != nil {
			t.Fatal(err)
		}
		m.Name = "X-H"
		h, err := CompileHeader(&m)
		if err != nil {
			t.Fatal(err)
		}
		x := &exchange.Exchange{}
		for _, v := range c.values {
			x.Request.Header.Add("x-h", v)
		}
		if got := h.Match(x); got != c.want {
			t.Errorf("%s %q: %v, want %v", c.matcher, c.values, got, c.want)
		}
	}
}

// The first parameter of the name counts, as it is written.
func TestQuery(t *testing.T) {
	for _, c := range []struct {
		matcher, query string
		want           bool
	}{
		{`{"string_match": {"exact": "1"}}`, "q=1&q=2", true},
		{`{"string_match": {"exact": "1"}}`, "q=2&q=1", false},
		{`{"string_match": {"exact": "1"}}`, "%71=1", false},
		{`{"string_match": {"exact": "1"}}`, "q=%31", false},
		{`{"string_match": {"exact": "%31"}}`, "x&q=%31", true},
		{`{"string_match": {"exact": ""}}`, "q", true},
		{`{"string_match": {"exact": ""}}`, "", false},
		{`{"present_match": true}`, "a=b&q", true},
		{`{"present_match": false}`, "a=b&q", false},
		{`{"present_match": false}`, "a=b", true},
		{`{}`, "q=", true},
	} {
		var m routev3.QueryParameterMatcher
		if err := protojson.Unmarshal([]byte(c.matcher), &m); err != nil {
			t.Fatal(err)
		}
		m.Name = "q"
		q, err := CompileQuery(&m)
		if err != nil {
			t.Fatal(err)
		}
		if got := q.Match(c.query); got != c.want {
			t.Errorf("%s ?%s: %v, want %v", c.matcher, c.query, got, c.want)
		}
	}
}
