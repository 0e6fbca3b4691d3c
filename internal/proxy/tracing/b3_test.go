package tracing

import (
	"regexp"
	"strings"
	"testing"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
)

// FuzzB3 holds that whatever a client sends goes on as it came or in B3's form, and that
// nobody has more traced than is wanted.
func FuzzB3(f *testing.F) {
	const trace, span, parent = "463ac35c9f6413ad48485a3953bb6124", "a2fb4a1d1a96d312", "0020000000000001"
	for _, s := range []string{"", "1", "d", trace + "-" + span, trace + "-" + span + "-1-" + parent, trace[16:] + "-" + span + "-d", strings.Repeat("-", 68), "00-" + trace + "-" + span + "-01"} {
		f.Add(s, trace, span, parent, "1", byte(0))
	}
	f.Add("", "1", "x", "", "true", byte(7))
	f.Add("", strings.Repeat("a", 40), span, strings.Repeat("0", 17), "0", byte(15))
	single := regexp.MustCompile(`^([0-9a-f]{16}|[0-9a-f]{32})-[0-9a-f]{16}-[01](-[0-9a-f]{16})?$`)
	parts := map[string]*regexp.Regexp{
		b3TraceHeader: regexp.MustCompile(`^([0-9a-f]{16}|[0-9a-f]{32})$`), b3SpanHeader: regexp.MustCompile(`^[0-9a-f]{16}$`), b3SampledHeader: regexp.MustCompile(`^[01]$`),
		parentHeader: regexp.MustCompile(`^00-[0-9a-f]{32}-[0-9a-f]{16}-0[01]$`),
	}
	f.Fuzz(func(t *testing.T, one, trace, span, parent, sampled string, how byte) {
		p := &b3{wide: how&1 != 0, shared: how&2 != 0, w3c: how&4 != 0}
		var h exchange.Header
		for _, e := range [][2]string{{b3Header, one}, {b3TraceHeader, trace}, {b3SpanHeader, span}, {b3ParentHeader, parent}, {b3SampledHeader, sampled}, {parentHeader, one}} {
			if e[1] != "" {
				h.Add(e[0], e[1])
			}
		}
		if c, ok := p.start(&h, false, how&8 != 0); ok && c.sampled {
			t.Error("it is traced because of what a client says")
		}
		c, ok := p.start(&h, true, how&8 != 0)
		if !ok {
			return
		}
		if c.child && !p.shared && c.parent == c.span {
			t.Error("a span of its own is its parent")
		}
		p.inject(&c, &h)
		if c.single {
			if v := h.Get(b3Header); !single.MatchString(v) {
				t.Errorf("%q became %q", one, v)
			}
		}
		for name, form := range parts {
			if v := h.Get(name); c.single == strings.HasPrefix(name, "x-") || name == parentHeader && !p.w3c {
				continue
			} else if !form.MatchString(v) {
				t.Errorf("%s: %q", name, v)
			}
		}
	})
}
