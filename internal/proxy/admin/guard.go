package admin

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"
)

// Bounds of what clients of the interface may hold.
const (
	maxRequests    = 32
	maxConnections = 128
	writeTimeout   = 10 * time.Second
	maxBody        = 64 << 10
)

// guard refuses what must not reach an endpoint.
type guard struct {
	next  http.Handler
	tcp   bool
	allow func(path string) bool // over TCP; nil: everything
	busy  chan struct{}
}

func newGuard(next http.Handler, tcp bool, allow func(string) bool) *guard {
	return &guard{next, tcp, allow, make(chan struct{}, maxRequests)}
}

func (g *guard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", "no-cache, max-age=0")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Server", "envoy")
	switch {
	case g.tcp && !local(r.Host):
		fail(w, http.StatusForbidden, "the Host of a request must be an address of this machine, or localhost\n")
		return
	case foreign(r):
		fail(w, http.StatusForbidden, "pages of other sites may not ask\n")
		return
	case g.tcp && g.allow != nil && !g.allow(target(r)):
		fail(w, http.StatusForbidden, fmt.Sprintf("request to path %s not allowed", target(r)))
		return
	}
	select {
	case g.busy <- struct{}{}:
		defer func() { <-g.busy }()
	default:
		fail(w, http.StatusServiceUnavailable, "too many requests at a time\n")
		return
	}
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeTimeout)) // without deadlines it is bounded by busy
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	g.next.ServeHTTP(w, r)
}

// target is the normalized path with its query.
func target(r *http.Request) string {
	if r.URL.RawQuery == "" {
		return normal(r)
	}
	return normal(r) + "?" + r.URL.RawQuery
}

// local tells whether a Host names this machine by an address, or as localhost. Names
// are refused: one whose owner has it lead here (DNS rebinding) makes a page of his the
// same origin as the interface.
func local(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	a, err := netip.ParseAddr(host)
	return err == nil && a.IsLoopback() || strings.EqualFold(host, "localhost")
}

// foreign tells whether a browser asks for a page of another origin, which could not read
// the answer but have something done.
func foreign(r *http.Request) bool {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "", "none", "same-origin":
	default:
		return true
	}
	o := r.Header.Get("Origin")
	return o != "" && o != "http://"+r.Host
}
