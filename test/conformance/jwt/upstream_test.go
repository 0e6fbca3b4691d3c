package jwt

import (
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
)

// caseHeader carries a case's number through the proxies.
const caseHeader = "X-Case"

// seen is a request as the upstream got it.
type seen struct {
	Method, Path, Host string
	Header             http.Header
}

// upstream answers everything and remembers what came, by case.
type upstream struct {
	port int

	mu   sync.Mutex
	seen map[string]*seen
}

func newUpstream(t *testing.T) *upstream {
	u := &upstream{seen: map[string]*seen{}}
	s := httptest.NewServer(u)
	t.Cleanup(s.Close)
	u.port = s.Listener.Addr().(*net.TCPAddr).Port
	return u
}

func (u *upstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s := &seen{r.Method, r.RequestURI, r.Host, r.Header.Clone()}
	id := r.Header.Get(caseHeader)
	delete(s.Header, caseHeader)
	u.mu.Lock()
	u.seen[id] = s
	u.mu.Unlock()
	w.Header().Set("Content-Type", "text/plain")
	w.Write([]byte("upstream"))
}

// take gives what came for a case, once.
func (u *upstream) take(id string) *seen {
	u.mu.Lock()
	defer u.mu.Unlock()
	s := u.seen[id]
	delete(u.seen, id)
	return s
}
