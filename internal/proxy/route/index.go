package route

import (
	"slices"
	"strings"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
)

// linear is the number of routes up to which looking at each is fastest.
const linear = 8

// index finds the routes of a virtual host whose path may match, in order. A
// route is in exactly one of its parts.
type index struct {
	exact  map[string][]int32 // whole path
	prefix map[string][]int32 // first bytes
	lens   []int              // of the prefixes, each once
	rest   []int32            // regular expressions, case-insensitive ones
}

func (v *VirtualHost) seal() {
	if len(v.routes) <= linear {
		return
	}
	ix := index{exact: make(map[string][]int32), prefix: make(map[string][]int32)}
	for i, r := range v.routes {
		n := int32(i)
		switch {
		case r.path.fold || r.path.kind == regexPath || r.path.kind == connectPath:
			ix.rest = append(ix.rest, n)
		case r.path.kind == exactPath:
			ix.exact[r.path.text] = append(ix.exact[r.path.text], n)
		default:
			ix.prefix[r.path.text] = append(ix.prefix[r.path.text], n)
			if !slices.Contains(ix.lens, len(r.path.text)) {
				ix.lens = append(ix.lens, len(r.path.text))
			}
		}
	}
	v.index = ix
}

// lookup gives the first route that matches.
func (v *VirtualHost) lookup(x *exchange.Exchange) *Route {
	path, query := x.Request.Path, ""
	if i := strings.IndexByte(path, '?'); i >= 0 {
		path, query = path[:i], path[i+1:]
	}
	if v.index.exact == nil {
		for _, r := range v.routes {
			if r.matches(x, path, query) {
				return r
			}
		}
		return nil
	}
	best := int32(len(v.routes))
	best = v.first(x, v.index.exact[path], best, path, query)
	for _, n := range v.index.lens {
		if n <= len(path) {
			best = v.first(x, v.index.prefix[path[:n]], best, path, query)
		}
	}
	best = v.first(x, v.index.rest, best, path, query)
	if int(best) == len(v.routes) {
		return nil
	}
	return v.routes[best]
}

// first gives the first of the candidates that matches, if it is before best.
func (v *VirtualHost) first(x *exchange.Exchange, candidates []int32, best int32, path, query string) int32 {
	for _, i := range candidates {
		if i >= best {
			break
		}
		if v.routes[i].matches(x, path, query) {
			return i
		}
	}
	return best
}
