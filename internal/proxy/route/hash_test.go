package route

import (
	"fmt"
	"math/bits"
	"net/netip"
	"strings"
	"testing"

	"github.com/cespare/xxhash/v2"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
)

func TestHash(t *testing.T) {
	sum := xxhash.Sum64String
	a, q := sum("a"), sum("1%20")
	given := fmt.Sprintf("%016x", sum("10.0.0.1:5"+"10.0.0.2:80"))
	for _, tt := range []struct {
		policies string
		want     uint64
		cookie   string
	}{
		{"{header: {header_name: X}}", a, ""},
		{"{header: {header_name: z}}", sum("bc"), ""}, // c, b: the order does not matter
		{"{header: {header_name: none}}", 0, ""},
		{"{header: {header_name: x, regex_rewrite: {pattern: {regex: a}, substitution: b}}}", sum("b"), ""},
		{"{header: {header_name: ':path'}}", sum("/?p=1%20"), ""},
		{"{query_parameter: {name: p}}", q, ""},
		{"{header: {header_name: x}}, {query_parameter: {name: p}}", bits.RotateLeft64(a, 1) ^ q, ""},
		{"{header: {header_name: x}, terminal: true}, {query_parameter: {name: p}}", a, ""},
		{"{header: {header_name: none}, terminal: true}, {query_parameter: {name: p}}", q, ""},
		{"{connection_properties: {source_ip: true}}", sum("10.0.0.1"), ""},
		{"{connection_properties: {}}", 0, ""},
		{"{filter_state: {key: k}}", sum("v"), ""},
		{"{cookie: {name: c}}", sum("cv"), ""},
		{"{cookie: {name: d}}", 0, ""},
		{"{cookie: {name: empty, ttl: 5s, path: /p, attributes: [{name: SameSite, value: Lax}, {name: Secure}]}}", sum(given),
			`empty="` + given + `"; Max-Age=5; Path=/p; SameSite=Lax; Secure; HttpOnly`},
		{"{cookie: {name: d, ttl: 0s}}", sum(given), `d="` + given + `"; HttpOnly`},
	} {
		table, err := compile(t, "virtual_hosts: [{name: v, domains: ['*'], routes: [{match: {prefix: /}, route: {cluster: c, hash_policy: ["+tt.policies+"]}}]}]")
		if err != nil {
			t.Error(err)
			continue
		}
		x := request("GET", "h", "/?p=1%20", "x:a", "z:c", "z:b", `cookie:c="cv"; empty=`)
		x.Conn = &exchange.Conn{Remote: netip.MustParseAddrPort("10.0.0.1:5"), Local: netip.MustParseAddrPort("10.0.0.2:80")}
		x.SetFilterState("k", "v")
		r := table.Lookup(x, "")
		c := r.Forward.Choose(x)
		r.Respond(x, c)
		if got := strings.Join(values(x, "set-cookie"), "\n"); x.Hash != tt.want || got != tt.cookie {
			t.Errorf("%s: %x %q, want %x %q", tt.policies, x.Hash, got, tt.want, tt.cookie)
		}
	}
}

func values(x *exchange.Exchange, name string) (out []string) {
	for _, f := range x.Response.Header.Fields() {
		if f.Name == name {
			out = append(out, f.Value)
		}
	}
	return out
}
