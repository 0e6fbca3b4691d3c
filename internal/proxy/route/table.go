package route

import (
	"slices"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/match"
)

// Table is one compiled RouteConfiguration.
type Table struct {
	Name string

	exact      map[string]*VirtualHost
	suffix     map[string]*VirtualHost // "*.example.com" as ".example.com"
	prefix     map[string]*VirtualHost // "example.*" as "example."
	suffixLens []int                   // longest first
	prefixLens []int
	any        *VirtualHost
	ignorePort bool
}

// VirtualHost is the routes of some domains.
type VirtualHost struct {
	Name     string
	CatchAll bool    // its domain is "*"
	secure   *secure // nil: any request is looked up
	routes   []*Route
	index    index
	attempts bool // include_request_attempt_count
	// include_attempt_count_in_response
	attemptsAnswer bool
	retry          *Retry
	mirrors        []Mirror
	metadata       *corev3.Metadata
}

// Lookup selects the route of a request, nil if there is none. Besides the
// authority that was sent, it tries authority, if given: what a captured
// connection's Host stands for with its port. The virtual host is noted in the request.
func (t *Table) Lookup(x *exchange.Exchange, authority string) *Route {
	v := t.Host(x.Request.Authority)
	if authority != "" && (v == nil || v.CatchAll) {
		if w := t.Host(authority); w != nil {
			v = w
		}
	}
	x.VirtualHost = nil
	if v == nil {
		return nil
	}
	x.VirtualHost = v
	if v.secure.of(x) {
		return v.secure.route
	}
	return v.lookup(x)
}

// HostName implements exchange.VirtualHost.
func (v *VirtualHost) HostName() string { return v.Name }

// Metadata implements exchange.VirtualHost.
func (v *VirtualHost) Metadata() exchange.Metadata { return v.metadata }

// Host gives the virtual host of an authority: the exact name, then the longest
// suffix, then the longest prefix, then "*".
func (t *Table) Host(authority string) *VirtualHost {
	if t.exact == nil && t.suffixLens == nil && t.prefixLens == nil {
		return t.any
	}
	name := match.Lower(authority)
	if t.ignorePort {
		if i := strings.LastIndexByte(name, ':'); i >= 0 && i > strings.LastIndexByte(name, ']') {
			name = name[:i]
		}
	}
	if v := t.exact[name]; v != nil {
		return v
	}
	for _, n := range t.suffixLens {
		if len(name) > n {
			if v := t.suffix[name[len(name)-n:]]; v != nil {
				return v
			}
		}
	}
	for _, n := range t.prefixLens {
		if len(name) > n {
			if v := t.prefix[name[:n]]; v != nil {
				return v
			}
		}
	}
	return t.any
}

// addDomain puts a domain into the table; false if it is there already.
func (t *Table) addDomain(d string, v *VirtualHost) bool {
	d = match.Lower(d)
	put := func(m *map[string]*VirtualHost, key string) bool {
		if *m == nil {
			*m = make(map[string]*VirtualHost)
		}
		if _, ok := (*m)[key]; ok {
			return false
		}
		(*m)[key] = v
		return true
	}
	switch {
	case d == "*":
		if t.any != nil {
			return false
		}
		t.any, v.CatchAll = v, true
		return true
	case strings.HasPrefix(d, "*"):
		return put(&t.suffix, d[1:])
	case strings.HasSuffix(d, "*"):
		return put(&t.prefix, d[:len(d)-1])
	}
	return put(&t.exact, d)
}

// seal orders what was added.
func (t *Table) seal() {
	lens := func(m map[string]*VirtualHost) (out []int) {
		for k := range m {
			if !slices.Contains(out, len(k)) {
				out = append(out, len(k))
			}
		}
		slices.SortFunc(out, func(a, b int) int { return b - a })
		return out
	}
	t.suffixLens, t.prefixLens = lens(t.suffix), lens(t.prefix)
}
