package hcm

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"strings"
	"time"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/route"
	"github.com/usher-mesh/usher/internal/proxy/upstream"
)

// proxyRequest judges a request to a forward proxy: who asks, and in which form.
// It returns false if it has answered.
func (s *session) proxyRequest() bool {
	x := s.x
	h := &x.Request.Header
	ok := s.authorized(h.Get("proxy-authorization"), h.Count("proxy-authorization"))
	h.Del("proxy-authorization")
	switch {
	case !ok:
		x.Reply(407, "Proxy Authentication Required", "http_proxy_credential")
		x.Response.Header.Add("proxy-authenticate", `Basic realm="usher"`)
		return false
	case x.Request.Method == "CONNECT":
		return true
	case !s.r.Absolute:
		x.Reply(400, "this is an HTTP proxy: the request target must be in absolute form", "http_proxy_target")
		return false
	case x.Request.Scheme != "http":
		x.Reply(400, "https needs CONNECT", "http_proxy_target")
		return false
	}
	return true
}

// authorized compares in constant time.
func (s *session) authorized(value string, count int) bool {
	if s.m.o.ProxyCredential == nil || count != 1 {
		return false
	}
	want := s.m.o.ProxyCredential()
	scheme, b64, ok := strings.Cut(value, " ")
	if want == "" || !ok || !strings.EqualFold(scheme, "basic") {
		return false
	}
	got, err := base64.StdEncoding.DecodeString(strings.TrimSpace(b64))
	if err != nil {
		return false
	}
	given := string(got)
	if !strings.Contains(want, ":") {
		if _, given, ok = strings.Cut(given, ":"); !ok {
			return false
		}
	}
	a, b := sha256.Sum256([]byte(given)), sha256.Sum256([]byte(want))
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1
}

// port is the port that a request without one stands for.
func (s *session) port() uint16 {
	if s.tunnel != "" {
		if _, p, ok := upstream.SplitAuthority(s.tunnel, 0); ok {
			return p
		}
	}
	if s.m.o.HTTPProxy {
		return 80
	}
	if p := s.x.Conn.Local.Port(); p != 0 {
		return p
	}
	return 80
}

// connect serves CONNECT. A host of the mesh is a captured connection to its
// port: requests in it are routed one by one. Any other, and what does not look
// like requests, is carried as bytes to the cluster of the route.
func (s *session) connect(r *route.Route) {
	x := s.x
	if !s.m.o.HTTPProxy || s.tunnel != "" || r.Forward == nil {
		x.Reply(403, "", "upgrade_failed")
		s.respondLocal(r)
		return
	}
	v := s.table.Host(x.Request.Authority)
	if v != nil && !v.CatchAll {
		if !s.established() {
			return
		}
		if s.looksLikeHTTP() {
			s.tunnel = strings.Clone(x.Request.Authority)
			s.keep = true
			return
		}
		s.carry(r, true)
		return
	}
	s.carry(r, false)
}

// established answers 200 to CONNECT.
func (s *session) established() bool {
	x := s.x
	x.Response.Status, x.Response.ContentLength, x.Details = 200, 0, "connect"
	f := s.framing()
	f.Close = false
	s.deadline(time.Now(), s.m.streamIdle)
	_, err := s.w.Response(&x.Response, f)
	if err == nil {
		err = s.w.Flush()
	}
	if err != nil {
		s.keep = false
	}
	return err == nil
}

// looksLikeHTTP waits for the tunnel's first byte. A request begins with a
// method; TLS with 22. Who says nothing first gets the bytes of the other side.
func (s *session) looksLikeHTTP() bool {
	if s.r.Buffered() == 0 {
		s.nc.SetReadDeadline(s.bodyDeadline(s.m.streamIdle))
		if s.r.More() != nil {
			return false
		}
	}
	b, ok := s.r.First()
	return ok && b >= 'A' && b <= 'Z'
}

// carry connects the client to the route's cluster. Answered: 200 was sent.
func (s *session) carry(r *route.Route, answered bool) {
	x := s.x
	s.keep = false
	choice := r.Forward.Choose(x)
	cluster := s.cluster(choice.Cluster)
	var err error = upstream.ErrNoHealthy
	var host *upstream.Host
	if cluster != nil {
		cluster.Describe(x)
		host, err = cluster.Pick(s.ctx, upstream.Ask{Authority: x.Request.Authority, Hash: x.Hash, Criteria: choice.Criteria, For: x, Header: &x.Request.Header})
	}
	if err == nil {
		x.UpstreamHost, x.Endpoint = host.Text, host
		nc, dialErr := host.Connect(s.ctx, x.Conn, r.Forward.Priority)
		if err = dialErr; err == nil {
			x.UpstreamLocal, x.Upstream = exchange.AddrPort(nc.LocalAddr()), upstream.About(nc)
			if !answered && !s.established() {
				nc.Close()
				return
			}
			s.outlive(nc, s.m.idle)
			return
		}
	}
	s.fail(r, err)
	if !answered {
		s.respondLocal(r)
	}
}
