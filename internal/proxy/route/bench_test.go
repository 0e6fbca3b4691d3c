package route

import (
	"fmt"
	"strings"
	"testing"
)

// BenchmarkLookup holds that what a lookup takes hardly grows with the table.
func BenchmarkLookup(b *testing.B) {
	hosts := func(domain string) func(int) string {
		return func(i int) string {
			return fmt.Sprintf("- {name: v%d, domains: ["+domain+"], routes: [{match: {prefix: /}, route: {cluster: c}}]}\n", i, i)
		}
	}
	routes := func(match string) func(int) string {
		return func(i int) string {
			s := fmt.Sprintf("  - {match: {"+match+"}, route: {cluster: c}}\n", i)
			if i == 0 {
				s = "- name: v\n  domains: ['*']\n  routes:\n" + s
			}
			return s
		}
	}
	for _, bb := range []struct {
		name            string
		entry           func(int) string
		authority, path string
	}{
		{"hosts", hosts("h%d.ns.svc"), "h%d.ns.svc", "/a/b?c"},
		{"suffixes", hosts("'*.h%d.test'"), "x.h%d.test", "/a/b?c"},
		{"paths", routes("path: /service/%d/list"), "h", "/service/%d/list?c"},
		{"prefixes", routes("prefix: /service/%d/"), "h", "/service/%d/list?c"},
		{"segments", routes("path_separated_prefix: /service/%d"), "h", "/service/%d/list?c"},
		{"fold", routes("prefix: /Service/%d/, case_sensitive: false"), "h", "/service/%d/list?c"},
		{"expressions", routes("safe_regex: {regex: '/service/%d/[a-z]+'}"), "h", "/service/%d/list?c"},
	} {
		for _, n := range []int{10, 1000, 10_000} {
			b.Run(fmt.Sprintf("%s/%d", bb.name, n), func(b *testing.B) {
				var text strings.Builder
				text.WriteString("virtual_hosts:\n")
				for i := range n {
					text.WriteString(bb.entry(i))
				}
				table, err := compile(b, text.String())
				if err != nil {
					b.Fatal(err)
				}
				last := func(s string) string { return strings.ReplaceAll(s, "%d", fmt.Sprint(n-1)) }
				x := request("GET", last(bb.authority), last(bb.path))
				b.ReportAllocs()
				for b.Loop() {
					if table.Lookup(x, "") == nil {
						b.Fatal("no route")
					}
				}
			})
		}
	}
}
