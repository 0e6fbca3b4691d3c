// Package compressor is the filter that compresses content on its way, configured by
// Envoy's Compressor message and with Envoy's choices. It passes on what has come before
// it waits for more.
package compressor

import (
	"net/http"
	"slices"
	"strings"
	"sync/atomic"

	compressorv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/compressor/v3"

	"github.com/usher-mesh/usher/internal/proxy/counters"
	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/filter"
	"github.com/usher-mesh/usher/internal/proxy/strict"
)

// TypeURL is that of the configuration.
const TypeURL = "type.googleapis.com/envoy.extensions.filters.http.compressor.v3.Compressor"

// Factory makes the filters, which count in the set.
func Factory(set *counters.Set) filter.Factory {
	return filter.Factory{
		TypeURL: TypeURL,
		New: func(c filter.Config) (filter.Filter, error) {
			var m compressorv3.Compressor
			if err := strict.Unpack(c.Typed, &m); err != nil {
				return nil, err
			}
			conf, err := compile(&m)
			if err != nil {
				return nil, err
			}
			f := &Filter{config: conf, name: c.Name}
			prefix := "compressor." + conf.library.name + "." + conf.kind
			of := func(name string) *atomic.Int64 {
				return set.Of(counters.Name{Scope: counters.HTTP, Of: c.StatPrefix, Name: prefix + name})
			}
			f.requests = counts{of("request.compressed"), of("request.not_compressed"), of("request.total_uncompressed_bytes"), of("request.total_compressed_bytes"), of("request.content_length_too_small")}
			f.noAccept, f.identity, f.used, f.overshadowed, f.wildcard, f.invalid, f.etag = of("no_accept_header"), of("header_identity"), of("header_compressor_used"),
				of("header_compressor_overshadowed"), of("header_wildcard"), of("header_not_valid"), of("not_compressed_etag")
			if conf.scoped {
				prefix += "response."
			}
			f.responses = counts{of("compressed"), of("not_compressed"), of("total_uncompressed_bytes"), of("total_compressed_bytes"), of("content_length_too_small")}
			return f, nil
		},
		PerRoute: compilePerRoute,
	}
}

// Filter is one compiled configuration.
type Filter struct {
	*config
	name                string
	requests, responses counts

	noAccept, identity, used, overshadowed, wildcard, invalid, etag *atomic.Int64
}

type counts struct{ done, not, from, to, small *atomic.Int64 }

var _ filter.Encoder = (*Filter)(nil)

// chain is what the compressors of a request know together.
type chain struct {
	accept string
	there  bool      // the client says what it accepts
	of     []offered // in their order
}

type offered struct {
	f *Filter
	l *library
}

// ofChain is what the chain is kept under.
type ofChain struct{}

var none = &settings{}

func (f *Filter) settings(x *exchange.Exchange) *settings {
	if r, ok := x.Route.(filter.Route); ok && r != nil {
		if s, ok := r.FilterConfig(f.name).(*settings); ok {
			return s
		}
	}
	return none
}

func (f *Filter) of(s *settings) *library {
	if s.library != nil {
		return s.library
	}
	return f.library
}

// Decode compresses the request's content, and notes what the client accepts.
func (f *Filter) Decode(x *exchange.Exchange) bool {
	s := f.settings(x)
	switch {
	case x.Again: // its content is none
		return true
	case s.disabled:
		f.requests.not.Add(1)
		return true
	}
	l, h := f.of(s), &x.Request.Header
	c, _ := x.Kept(ofChain{}).(*chain)
	if c == nil {
		c = &chain{}
		c.accept, c.there = joined(h, "accept-encoding")
		x.Keep(ofChain{}, c)
	}
	c.of = append(c.of, offered{f, l})
	remove := f.removeAccept
	if s.removeAccept != nil {
		remove = *s.removeAccept
	}
	if (f.response.enabled || s.response) && remove {
		h.Del("accept-encoding")
	}
	f.compressRequest(x, l)
	return true
}

func (f *Filter) compressRequest(x *exchange.Exchange, l *library) {
	rq := &x.Request
	src, ok := rq.Body.(exchange.Content)
	if !ok || !f.request.enabled || rq.Upgrade != "" || !f.large(&f.request, &f.requests, rq.ContentLength) || !f.request.takes(rq.Header.Lookup("content-type")) || present(&rq.Header, "content-encoding") {
		f.requests.not.Add(1)
		return
	}
	rq.Body, rq.ContentLength = newBody(src, l, f.requests.from, f.requests.to), exchange.UnknownLength
	rq.Header.Del("content-length")
	rq.Header.Set("content-encoding", l.encoding)
	f.requests.done.Add(1)
}

func present(h *exchange.Header, name string) bool { _, ok := h.Lookup(name); return ok }

// large tells whether there is enough content, as far as it is known.
func (f *Filter) large(d *direction, n *counts, length int64) bool {
	if length == exchange.UnknownLength || length >= d.least {
		return true
	}
	n.small.Add(1)
	return false
}

// Encode compresses the answer's content.
func (f *Filter) Encode(x *exchange.Exchange) {
	s := f.settings(x)
	if s.disabled || !f.response.enabled && !s.response {
		f.responses.not.Add(1)
		return
	}
	c, _ := x.Kept(ofChain{}).(*chain)
	if c == nil {
		c = &chain{} // no request of its own has come by
	}
	l, h := f.of(s), &x.Response.Header
	large := f.large(&f.response, &f.responses, x.Response.ContentLength)
	may := large && f.compressible(x)
	content := x.Request.Method != "HEAD" && bodied(x.Response.Status) && hasContent(x)
	if content && large && f.accepted(c, l, x) && may {
		f.compress(x, l)
		f.responses.done.Add(1)
	} else {
		f.responses.not.Add(1)
	}
	if may {
		vary(h)
	}
}

// bodied tells whether an answer of the status may have content.
func bodied(status int) bool {
	return status >= 200 && status != http.StatusNoContent && status != http.StatusNotModified
}

func hasContent(x *exchange.Exchange) bool {
	if text, local := x.Local(); local && x.Response.Body == nil {
		return text != ""
	}
	src, ok := x.Response.Body.(exchange.Content)
	return ok && !src.Done()
}

// compressible tells whether the answer could be compressed for a client that takes it.
func (f *Filter) compressible(x *exchange.Exchange) bool {
	h := &x.Response.Header
	if f.codes[x.Response.Status] || present(h, "content-encoding") || !f.response.takes(h.Lookup("content-type")) {
		return false
	}
	for _, e := range h.Fields() {
		if e.Name == "cache-control" && listed(e.Value, "no-transform") {
			return false
		}
	}
	if f.disableOnETag && !f.weakenETag && present(h, "etag") {
		f.etag.Add(1)
		return false
	}
	return true
}

// accepted tells whether the client likes this filter's encoding best of those that the
// chain's filters can make of the answer.
func (f *Filter) accepted(c *chain, l *library, x *exchange.Exchange) bool {
	if !c.there {
		f.noAccept.Add(1)
		return false
	}
	kind, there := x.Response.Header.Lookup("content-type")
	var offers []offer
	for _, o := range c.of {
		if o.f.response.takes(kind, there) && !has(offers, o.l.encoding) {
			offers = append(offers, offer{o.l.encoding, o.f.first})
		}
	}
	best := choose(c.accept, offers)
	mine := best.encoding == l.encoding && !best.invalid
	switch {
	case best.invalid:
		f.invalid.Add(1)
	case best.wildcard:
		f.wildcard.Add(1)
	case best.encoding == identity:
		f.identity.Add(1)
	case mine:
		f.used.Add(1)
	default:
		f.overshadowed.Add(1)
	}
	return mine
}

func (f *Filter) compress(x *exchange.Exchange, l *library) {
	rs := &x.Response
	h := &rs.Header
	if tag, ok := h.Lookup("etag"); ok && !strings.HasPrefix(tag, "W/") && !strings.HasPrefix(tag, "w/") {
		if f.weakenETag {
			h.Set("etag", "W/"+tag)
		} else {
			h.Del("etag")
		}
	}
	h.Set("content-encoding", l.encoding)
	if text, local := x.Local(); local && rs.Body == nil {
		x.SetLocal(l.text(text, f.responses))
		return
	}
	h.Del("content-length")
	rs.Body, rs.ContentLength = newBody(rs.Body.(exchange.Content), l, f.responses.from, f.responses.to), exchange.UnknownLength
}

// text compresses a text.
func (l *library) text(s string, n counts) string {
	var out strings.Builder
	e := l.get(&out)
	e.Write([]byte(s))
	e.Close()
	l.put(e)
	n.from.Add(int64(len(s)))
	n.to.Add(int64(out.Len()))
	return out.String()
}

// vary tells caches that the answer depends on what the client accepts.
func vary(h *exchange.Header) {
	const name = "Accept-Encoding"
	old, there := joined(h, "vary")
	switch {
	case !there:
		h.Add("vary", name)
	case !slices.Contains(tokens(old), name):
		h.Set("vary", old+", "+name)
	}
}

// joined gives all values of a field, by commas.
func joined(h *exchange.Header, name string) (value string, there bool) {
	for _, e := range h.Fields() {
		switch {
		case e.Name != name:
		case !there:
			value, there = e.Value, true
		default:
			value += "," + e.Value
		}
	}
	return value, there
}

func tokens(list string) []string {
	all := strings.Split(list, ",")
	for i := range all {
		all[i] = strings.Trim(all[i], " \t")
	}
	return all
}

// listed tells whether a list has the token, in whatever case.
func listed(list, token string) bool {
	return slices.ContainsFunc(tokens(list), func(t string) bool { return strings.EqualFold(t, token) })
}
