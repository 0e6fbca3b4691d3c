package hcm

import (
	"strconv"
	"strings"
	"time"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/filter"
	"github.com/usher-mesh/usher/internal/proxy/http1"
	"github.com/usher-mesh/usher/internal/proxy/http2"
	"github.com/usher-mesh/usher/internal/proxy/match"
	"github.com/usher-mesh/usher/internal/proxy/route"
)

// judge takes a request through its stations: trust, path, route, filters, action.
func (s *session) judge() {
	x := s.x
	if s.m.o.Overload.Requests.Hit() {
		x.Reply(503, "envoy overloaded", "overload")
		s.respondLocal(nil)
		return
	}
	admitted := s.admit()
	if admitted {
		s.m.stats.Routed.Inc()
	}
	r, _ := x.Route.(*route.Route)
	switch {
	case !admitted && s.lost.Load() && x.Response.Status == 0:
		// It went while a filter held it up: nobody to answer.
		s.keep = false
		x.Flags, x.Details = "DC", "downstream_remote_disconnect"
	case !admitted && r != nil && r.Forward == nil:
		s.respondLocal(nil) // what the route says is of its own answer alone, as in Envoy
	case !admitted:
		s.respondLocal(r)
	case r == nil:
		x.Flags = "NR"
		x.Reply(404, "", "route_not_found")
		s.respondLocal(nil)
	case x.Request.Method == "CONNECT" && r.Forward == nil:
		// An answer in 2xx would be taken for a tunnel.
		x.Reply(404, "", "route_not_found")
		s.respondLocal(r)
	case r.Direct != nil:
		x.Reply(r.Direct.Status, r.Direct.Text(x), "direct_response")
		if t := r.Direct.ContentType(); t != "" {
			x.Response.Header.Add("content-type", t)
		}
		s.respondLocal(r)
	case r.Redirect != nil:
		x.Reply(r.Redirect.Status, "", "direct_response")
		x.Response.Header.Add("location", r.Redirect.Location(x, r))
		s.respondLocal(r)
	case x.Request.Method == "CONNECT":
		s.connect(r)
	case s.lastForward():
		s.respondLocal(r)
	default:
		s.forward(r)
	}
}

// admit asks whether a request may go on, and by which route. It returns false if
// something has answered. It only looks at the request and changes it: a lasting
// connection's is admitted again and again.
func (s *session) admit() bool {
	x, m := s.x, s.m
	if m.o.HTTPProxy && s.tunnel == "" && !s.proxyRequest() {
		return false
	}
	s.sanitize()
	if !s.path() {
		return false
	}
	s.findRoute()
	s.trace()
	if m.logsNew && !x.Again {
		s.log("DownstreamStart")
	}
	if r, ok := x.Route.(*route.Route); ok && !s.upgradeAllowed(r) {
		return false
	}
	for i := range m.filters {
		f := &m.filters[i]
		r, _ := x.Route.(*route.Route)
		if f.skip(r) {
			continue
		}
		if !f.filter.Decode(x) {
			return false
		}
		if x.RouteCleared() {
			s.findRoute()
		}
	}
	return true
}

func (f *namedFilter) skip(r *route.Route) bool {
	if r == nil {
		return f.disabled
	}
	return r.Disabled(f.name) || f.disabled && r.FilterConfig(f.name) == nil
}

// findRoute selects the route of the request as it is now.
func (s *session) findRoute() {
	x := s.x
	x.Route = nil
	if s.table == nil {
		return
	}
	r := s.lookup()
	if r == nil {
		return
	}
	x.Route = r
	s.x.RouteName = r.Name
}

// lookup asks the table. A forward proxy's routes name hosts with their ports, so
// the port that a request stands for is added where it was not sent.
func (s *session) lookup() *route.Route {
	x := s.x
	if x.Request.Method == "CONNECT" {
		// The tunnel's requests are routed one by one; the route to its root
		// tells where bytes go that are no requests.
		method, path := x.Request.Method, x.Request.Path
		x.Request.Method, x.Request.Path = "GET", "/"
		r := s.table.Lookup(x, "")
		x.Request.Method, x.Request.Path = method, path
		return r
	}
	if !s.m.o.HTTPProxy {
		return s.table.Lookup(x, "")
	}
	return s.table.Lookup(x, s.withPort())
}

// withPort gives the authority with the port of the tunnel, or of plain HTTP.
func (s *session) withPort() string {
	a := s.x.Request.Authority
	if i := strings.LastIndexByte(a, ':'); i >= 0 && i > strings.LastIndexByte(a, ']') {
		return ""
	}
	return a + ":" + strconv.Itoa(int(s.port()))
}

// encode lets the filters see the response's head, in reverse.
func (s *session) encode() {
	r, _ := s.x.Route.(*route.Route)
	for i := len(s.m.filters) - 1; i >= 0; i-- {
		f := &s.m.filters[i]
		if e, ok := f.filter.(filter.Encoder); ok && !f.skip(r) {
			e.Encode(s.x)
		}
	}
}

// respondLocal sends the answer that Reply made.
func (s *session) respondLocal(r *route.Route) {
	x := s.x
	if s.x.Response.Status == 0 {
		x.Reply(500, "", "filter_without_answer")
	}
	body, _ := x.Local()
	if r != nil {
		r.Respond(x, route.Choice{})
	}
	if s.m.replies != nil {
		body = s.rewrite(body)
	}
	_, grpc := x.LocalGRPC()
	if match.GRPC(x) && (grpc || x.Response.Status != 200 || x.Details == "direct_response") && x.Request.Method != "CONNECT" {
		grpcReply(x, body)
		body = ""
	} else if body == "" {
		x.Response.Header.Del("content-type")
	} else {
		if _, ok := x.Response.Header.Lookup("content-type"); !ok {
			x.Response.Header.Add("content-type", "text/plain")
		}
	}
	x.SetLocal(body)
	if body == "" && x.Request.Method == "HEAD" {
		x.Response.ContentLength = exchange.UnknownLength // as in Envoy, nothing is said of it
	}
	s.encode()
	body, _ = x.Local()
	if !s.consumed() {
		s.keep = false
	}
	s.complete()
	x.Replied = s.stamp()
	f := s.framing()
	_, err := s.w.Response(&x.Response, f)
	if err == nil && f.Method != "HEAD" && x.Response.Status != 204 && x.Response.Status != 304 {
		err = s.w.String(body)
	}
	if err != nil {
		s.w.Discard()
		s.keep = false
		return
	}
	s.deadline(time.Now(), s.m.streamIdle)
	if s.w.Flush() != nil {
		s.keep = false
	}
}

// rewrite changes a local reply as the configuration says. Who sets the content's type
// by a field of its own is heard.
func (s *session) rewrite(was string) string {
	x := s.x
	before := x.Response.Header.Get("content-type")
	body, contentType := s.m.replies.rewrite(x, was)
	if now := x.Response.Header.Get("content-type"); now == before && (body != was || now == "") {
		x.Response.Header.Set("content-type", contentType)
	}
	return body
}

func (s *session) framing() http1.Framing {
	return http1.Framing{Method: s.x.Request.Method, HTTP10: s.x.Request.ProtoMajor == 1 && s.x.Request.ProtoMinor == 0, Close: !s.keep}
}

// complete adds what the proxy says in each response. A drain that has begun since the
// request came is told by it.
func (s *session) complete() {
	x, m := s.x, s.m
	if s.span != nil {
		s.span.Answer(&x.Response.Header)
	}
	s.keep = s.keep && !s.c.Draining()
	if s.m.o.Overload.KeepAlive.Hit() {
		s.keep = false
		if st, ok := s.nc.(*http2.Stream); ok {
			st.Shutdown()
		}
	}
	h := &x.Response.Header
	m.serverHeader(h)
	if _, ok := h.Lookup("date"); !ok {
		h.Add("date", s.now())
	}
	if m.via != "" {
		addVia(h, m.via)
	}
	if m.idInResponse && s.x.RequestID != "" {
		h.Set("x-request-id", s.x.RequestID)
	}
}
