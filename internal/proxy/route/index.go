package route

import (
	"strings"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/match"
)

// linear is the number of routes up to which looking at each is fastest.
const linear = 8

// index finds the routes of a virtual host whose path may match, in order. A
// route is in exactly one of its parts.
type index struct {
	cased *tree   // paths and prefixes, and what regular expressions begin with
	fold  *tree   // those that are compared without case, in lower case
	rest  []int32 // expressions that may begin with anything; CONNECT
}

func (v *VirtualHost) seal() {
	if len(v.routes) <= linear {
		return
	}
	ix := index{cased: new(tree)}
	for i, r := range v.routes {
		n := int32(i)
		t, text := ix.cased, r.path.text
		if r.path.fold {
			if ix.fold == nil {
				ix.fold = new(tree)
			}
			t, text = ix.fold, match.Lower(text)
		}
		switch {
		case r.path.kind == exactPath:
			t = t.at(text)
			t.exacts = append(t.exacts, n)
		case text == "" && r.path.kind != prefixPath:
			ix.rest = append(ix.rest, n)
		default:
			t = t.at(text)
			t.prefixes = append(t.prefixes, n)
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
	if v.index.cased == nil {
		for _, r := range v.routes {
			if r.matches(x, path, query) {
				return r
			}
		}
		return nil
	}
	best := v.walk(v.index.cased, x, path, path, query, int32(len(v.routes)))
	if v.index.fold != nil {
		best = v.walk(v.index.fold, x, match.Lower(path), path, query, best)
	}
	best = v.first(x, v.index.rest, best, path, query)
	if int(best) == len(v.routes) {
		return nil
	}
	return v.routes[best]
}

// walk looks at the routes of a tree whose text a key begins with: the path, or its
// lower case.
func (v *VirtualHost) walk(t *tree, x *exchange.Exchange, key, path, query string, best int32) int32 {
	for ; t != nil; t = t.step(key) {
		key = key[len(t.edge):]
		best = v.first(x, t.prefixes, best, path, query)
		if key == "" {
			best = v.first(x, t.exacts, best, path, query)
		}
	}
	return best
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
