package mirror

import (
	"context"
	"encoding/binary"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/usher-mesh/usher/internal/jwks"
	"github.com/usher-mesh/usher/internal/mesh"
)

// nameServer answers every question for an address with those that it has just now
// (RFC 1035, 4.1).
type nameServer struct {
	answers atomic.Pointer[[]netip.Addr]
	asked   atomic.Int32
}

// resolver asks the name server alone.
func (n *nameServer) resolver(t *testing.T) *net.Resolver {
	t.Helper()
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		b := make([]byte, 1500)
		for {
			l, from, err := pc.ReadFrom(b)
			if err != nil {
				return
			}
			n.asked.Add(1)
			_, _ = pc.WriteTo(n.answer(b[:l]), from) // the client asks again
		}
	}()
	t.Cleanup(func() { _ = pc.Close(); <-done })
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", pc.LocalAddr().String())
	}}
}

func (n *nameServer) answer(query []byte) []byte {
	end := 12
	for query[end] != 0 {
		end += 1 + int(query[end])
	}
	end += 5
	out := append([]byte{query[0], query[1], 0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0}, query[12:end]...)
	if binary.BigEndian.Uint16(query[end-4:]) != 1 { // A
		return out
	}
	for _, a := range *n.answers.Load() {
		out = append(out, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4)
		out = append(out, a.AsSlice()...)
		out[7]++
	}
	return out
}

// A name that leads to a good address when it is checked and to a forbidden one when
// it is used gets nobody anywhere: what is judged is the address that the socket
// connects to, at every fetch.
func TestRebinding(t *testing.T) {
	good := newIssuer(t, false, keySet(t, "a"))
	own := newIssuer(t, false, keySet(t, "own"))
	dns := &nameServer{}
	say := func(addrs ...string) {
		l := make([]netip.Addr, len(addrs))
		for i, a := range addrs {
			l[i] = netip.MustParseAddr(a)
		}
		dns.answers.Store(&l)
	}
	at := func(i *issuer) string {
		u := url.URL{Scheme: "http", Host: netip.AddrPortFrom(netip.IPv4Unspecified(), i.addr().Port()).String()}
		return "http://keys.example:" + u.Port() + "/"
	}
	var later atomic.Int64
	m := start(t, Options{
		DNS: dns.resolver(t), Now: func() time.Time { return time.Now().Add(time.Duration(later.Load())) },
		Allow: Policy{Loopback: true, UsherPorts: func() []netip.AddrPort { return []netip.AddrPort{own.addr()} }},
	})
	say("127.0.0.1")
	m.Set([]mesh.KeySet{{URI: at(good)}, {URI: at(own)}}, nil)
	if rsp, text := ask(t, m, Path(at(good))); rsp.StatusCode != 200 {
		t.Fatalf("%s %q", rsp.Status, text)
	}
	if rsp, text := ask(t, m, Path(at(own))); rsp.StatusCode != 503 || !strings.HasSuffix(text, "is a port of usher's own") {
		t.Errorf("an own port by its name: %s %q", rsp.Status, text)
	}
	// The same name leads elsewhere now.
	for _, addrs := range [][]string{{"169.254.169.254"}, {"169.254.169.254", "100.100.100.200"}} {
		say(addrs...)
		later.Add(int64(time.Minute))
		if rsp, text := ask(t, m, Path(at(good))+"?kid=new"); rsp.StatusCode != 200 {
			t.Fatalf("the keys that there are: %s %q", rsp.Status, text)
		}
		st := m.States()
		for _, s := range st {
			if s.URI == at(good) && (s.Failures[jwks.ReasonForbidden] == 0 || !strings.HasSuffix(s.LastError, "is link-local, which is never asked for keys")) {
				t.Errorf("%v: %+v", addrs, s)
			}
		}
	}
	if dns.asked.Load() < 3 || own.asked.Load() != 0 {
		t.Errorf("the name server was asked %d times, the own port %d times", dns.asked.Load(), own.asked.Load())
	}
}

// Redirects and jwks_uri lead nowhere that the object itself could not name.
func TestLedToForbiddenAddresses(t *testing.T) {
	own := newIssuer(t, false, keySet(t, "own"))
	mux := http.NewServeMux()
	s := httptest.NewServer(mux)
	defer s.Close()
	mux.Handle("/local", http.RedirectHandler("http://169.254.169.254/latest/meta-data", http.StatusFound))
	mux.Handle("/own", http.RedirectHandler(own.URL, http.StatusFound))
	mux.HandleFunc("/iss/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"issuer":"` + s.URL + `/iss","jwks_uri":"http://169.254.169.254/keys"}`))
	})
	m := start(t, Options{Allow: Policy{Loopback: true, UsherPorts: func() []netip.AddrPort { return []netip.AddrPort{own.addr()} }}})
	for _, set := range []mesh.KeySet{
		{URI: s.URL + "/local"}, {URI: s.URL + "/own"},
		{URI: s.URL + "/iss/.well-known/openid-configuration#" + s.URL + "/iss", Issuer: s.URL + "/iss"},
	} {
		m.Set([]mesh.KeySet{set}, nil)
		rsp, text := ask(t, m, Path(set.URI))
		if st := m.States()[0]; rsp.StatusCode != 503 || st.Failures[jwks.ReasonForbidden] == 0 {
			t.Errorf("%s: %s %q, %v", set.URI, rsp.Status, text, st.Failures)
		}
	}
	if n := own.asked.Load(); n != 0 {
		t.Errorf("the own port was asked %d times", n)
	}
}

// An object that names an issuer alone gets the keys that its discovery document
// leads to.
func TestDiscoveredKeys(t *testing.T) {
	keys := newIssuer(t, false, keySet(t, "a"))
	var s *httptest.Server
	s = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, rq *http.Request) {
		if rq.URL.Path != "/realms/x/.well-known/openid-configuration" {
			http.NotFound(w, rq)
			return
		}
		_, _ = w.Write([]byte(`{"issuer":"` + s.URL + `/realms/x","jwks_uri":"` + keys.URL + `/certs"}`))
	}))
	defer s.Close()
	m := start(t, Options{Allow: machine})
	iss := s.URL + "/realms/x"
	doc := iss + "/.well-known/openid-configuration#"
	m.Set([]mesh.KeySet{{URI: doc + iss, Issuer: iss}, {URI: doc + iss + "/", Issuer: iss + "/"}}, nil)
	if rsp, text := ask(t, m, Path(doc+iss)); rsp.StatusCode != 200 || !strings.Contains(text, `"kid":"a"`) {
		t.Errorf("%s %q", rsp.Status, text)
	}
	if rsp, text := ask(t, m, Path(doc+iss+"/")); rsp.StatusCode != 503 || !strings.Contains(text, "is of issuer") {
		t.Errorf("another issuer's document: %s %q", rsp.Status, text)
	}
}
