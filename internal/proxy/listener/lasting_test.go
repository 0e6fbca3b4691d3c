package listener_test

import (
	"bufio"
	"bytes"
	ctls "crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/usher-mesh/usher/internal/proxy/accesslog"
	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/filter"
	"github.com/usher-mesh/usher/internal/proxy/proxytest"
	"github.com/usher-mesh/usher/internal/proxy/snapshot"
)

// echoes sends back what it reads; with upgrade it answers a request by 101 first.
func echoes(t *testing.T, upgrade bool) string {
	return proxytest.Serve(t, func(_ int, c net.Conn) {
		r := bufio.NewReader(c)
		if upgrade {
			if _, err := http.ReadRequest(r); err != nil {
				return
			}
			_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")
		}
		_, _ = io.Copy(c, r)
	})
}

const patience = 10 * time.Second

// alive sends a byte to and fro.
func alive(t *testing.T, c net.Conn) {
	t.Helper()
	c.SetDeadline(time.Now().Add(patience))
	b := []byte{'x'}
	if _, err := c.Write(b); err != nil {
		t.Fatal("the connection was cut: ", err)
	}
	if _, err := io.ReadFull(c, b); err != nil || b[0] != 'x' {
		t.Fatal("the connection was cut: ", err)
	}
}

// ended waits for the connection's end.
func ended(t *testing.T, c net.Conn) {
	t.Helper()
	c.SetDeadline(time.Now().Add(patience))
	if _, err := c.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal("the connection goes on: ", err)
	}
}

func (p *proxy) dial(t *testing.T, cert *ctls.Certificate) net.Conn {
	t.Helper()
	var c net.Conn
	var err error
	if cert == nil {
		c, err = net.Dial("tcp", p.addr)
	} else {
		c, err = ctls.Dial("tcp", p.addr, &ctls.Config{InsecureSkipVerify: true, Certificates: []ctls.Certificate{*cert}})
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// ask sends a request head and wants that status; the connection is open after it.
func ask(t *testing.T, c net.Conn, head, status string) {
	t.Helper()
	c.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(c, head); err != nil {
		t.Fatal(err)
	}
	var got []byte
	for b := make([]byte, 1); !bytes.HasSuffix(got, []byte("\r\n\r\n")); got = append(got, b[0]) {
		if _, err := c.Read(b); err != nil {
			t.Fatalf("%v after %q", err, got)
		}
	}
	if !strings.HasPrefix(string(got), "HTTP/1.1 "+status) {
		t.Fatalf("%q", got)
	}
}

const websocket = "GET /ws HTTP/1.1\r\nHost: b\r\nConnection: upgrade\r\nUpgrade: websocket\r\nX-User: "

// TestTCPRevoked: who is not let in any more is cut, and who is goes on.
func TestTCPRevoked(t *testing.T) {
	ca := newAuthority(t)
	soon := time.Now().Add(time.Hour)
	p := newProxy(t, newSecrets(ca, ca.issue(t, uriA, soon)))
	var log bytes.Buffer
	p.opts.AccessLogs = &accesslog.Files{Stdout: &log}
	p.cluster(staticCluster("up", echoes(t, false), ""))
	p.start(tcpListener("\n"))
	b, c := p.dial(t, ca.issue(t, uriB, soon)), p.dial(t, ca.issue(t, uriC, soon))
	alive(t, b)
	alive(t, c)
	swap := func(text string) {
		t.Helper()
		if err := p.Swap(p.compile(text)); err != nil {
			t.Fatal(err)
		}
	}
	swap(tcpListener(whoIs("DENY", uriA)))
	alive(t, b)
	swap(tcpListener(whoIs("DENY", uriB)))
	ended(t, b)
	for range 50 {
		alive(t, c)
	}
	swap(inbound("STRICT")) // not TCP any more
	ended(t, c)
	p.Close()
	p.opts.AccessLogs.Flush()
	if !strings.Contains(log.String(), "revoked{rbac_access_denied_matched_policy[p]} ") || !strings.Contains(log.String(), " revoked ") {
		t.Errorf("%q", log.String())
	}
}

// users is a filter that lets some in.
type users struct {
	mu   sync.Mutex
	in   map[string]allowance
	seen chan string // each user that was asked for
}

type allowance int

const (
	always allowance = iota + 1
	once             // the answer has run out as soon as it is given
)

func (u *users) set(name string, a allowance) { u.mu.Lock(); u.in[name] = a; u.mu.Unlock() }

func (u *users) Decode(x *exchange.Exchange) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	name := x.Request.Header.Get("x-user")
	u.seen <- name
	switch u.in[name] {
	case always:
	case once:
		x.HoldsUntil(time.Now())
		delete(u.in, name)
	default:
		x.Reply(401, "", "who_is_that")
		return false
	}
	x.Request.Header.Del("x-user") // as a token is
	return true
}

// next waits for the next user that is asked for.
func (u *users) next(t *testing.T) string {
	t.Helper()
	select {
	case name := <-u.seen:
		return name
	case <-time.After(patience):
		t.Fatal("nobody is judged")
		return ""
	}
}

func (u *users) factory(t *testing.T) []filter.Factory {
	any, err := anypb.New(&emptypb.Empty{})
	if err != nil {
		t.Fatal(err)
	}
	return []filter.Factory{{TypeURL: any.TypeUrl, New: func(filter.Config) (filter.Filter, error) { return u, nil }}}
}

const usersFilter = "http_filters:\n      - {name: users, typed_config: {\"@type\": type.googleapis.com/google.protobuf.Empty, value: {}}}"

// TestUpgradeRevoked judges upgraded connections again when something has changed
// and when the answer has run out, and cuts those alone that are not let in.
func TestUpgradeRevoked(t *testing.T) {
	u := &users{in: map[string]allowance{"ann": always, "bob": always}, seen: make(chan string, 100)}
	p := newProxy(t, nil)
	p.opts.Filters = u.factory(t)
	var log bytes.Buffer
	p.opts.AccessLogs = &accesslog.Files{Stdout: &log}
	p.cluster(staticCluster("up", echoes(t, true), ""))
	rds := "rds: {route_config_name: r, config_source: {ads: {}}}"
	routes := "name: r\nvirtual_hosts: [{name: v, domains: [\"*\"], routes: [{match: {prefix: /ws}, route: {cluster: up}}]}]"
	p.route(routes)
	text := strings.Replace("name: plain\naddress: {socket_address: {address: 127.0.0.1, port_value: 0}}\nfilter_chains:\n- filters:\n"+
		indentKeep(manager(rds, `
upgrade_configs: [{upgrade_type: websocket}]
access_log:
- name: file
  typed_config:
    "@type": type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog
    path: /dev/stdout
    log_format: {text_format_source: {inline_string: "%RESPONSE_CODE% %RESPONSE_CODE_DETAILS%\n"}}`)), "http_filters:", usersFilter, 1)
	p.start(text)
	open := func(user string) net.Conn {
		t.Helper()
		c := p.dial(t, nil)
		ask(t, c, websocket+user+"\r\n\r\n", "101")
		alive(t, c)
		if got := u.next(t); got != user {
			t.Fatal(got)
		}
		return c
	}
	both := func() { // both have been judged again
		t.Helper()
		if a, b := u.next(t), u.next(t); a == b {
			t.Fatal(a, b)
		}
	}
	ann, bob := open("ann"), open("bob")

	if err := p.Swap(p.compile(text)); err != nil {
		t.Fatal(err)
	}
	both()
	alive(t, ann)
	alive(t, bob)

	u.set("bob", 0)
	p.Rejudge()
	both()
	ended(t, bob)
	alive(t, ann)

	// What a filter's answer rests on runs out.
	u.set("bob", once)
	bob = open("bob")
	ended(t, bob)
	u.next(t)
	alive(t, ann)

	// Without a route a request is refused. A cluster that is not there is no refusal.
	p.snap.Store(&snapshot.Snapshot{Routes: p.snap.Load().Routes})
	p.Rejudge()
	if u.next(t) != "ann" {
		t.Fatal("who else?")
	}
	alive(t, ann)
	p.route(strings.Replace(routes, "/ws", "/other", 1))
	p.Rejudge()
	ended(t, ann)
	p.Close()
	p.opts.AccessLogs.Flush()
	lines := slices.Sorted(strings.Lines(log.String())) // each is written when its tunnel has ended
	want := []string{"101 revoked{route_not_found}\n", "101 revoked{who_is_that}\n", "101 revoked{who_is_that}\n"}
	if !slices.Equal(lines, want) {
		t.Errorf("%q", lines)
	}
}

// TestTunnelRevoked: a CONNECT tunnel's request is judged again, too.
func TestTunnelRevoked(t *testing.T) {
	u := &users{in: map[string]allowance{"ann": always, "bob": always}, seen: make(chan string, 100)}
	p := newProxy(t, nil)
	p.opts.Filters = u.factory(t)
	p.opts.ProxyCredential = func() string { return "customer:s3cret" }
	p.cluster(staticCluster("up", echoes(t, false), ""))
	p.start(strings.Replace("name: outbound\naddress: {socket_address: {address: 127.0.0.1, port_value: 0}}\nmetadata: {filter_metadata: {usher: {http_proxy: true}}}\nfilter_chains:\n- filters:"+
		manager(toUp, ""), "http_filters:", usersFilter, 1))
	open := func(user string) net.Conn {
		c := p.dial(t, nil)
		ask(t, c, "CONNECT db:5432 HTTP/1.1\r\nHost: db:5432\r\nProxy-Authorization: Basic Y3VzdG9tZXI6czNjcmV0\r\nX-User: "+user+"\r\n\r\n", "200")
		alive(t, c)
		u.next(t)
		return c
	}
	ann, bob := open("ann"), open("bob")
	u.set("bob", 0)
	p.Rejudge()
	ended(t, bob)
	u.next(t)
	u.next(t)
	alive(t, ann)
}

// TestTunnelBound: a CONNECT tunnel takes a place among its cluster's connections.
func TestTunnelBound(t *testing.T) {
	p := newProxy(t, nil)
	p.opts.ProxyCredential = func() string { return "customer:s3cret" }
	p.cluster(staticCluster("up", echoes(t, false), "circuit_breakers: {thresholds: [{max_connections: 1}]}\n"))
	p.start("name: outbound\naddress: {socket_address: {address: 127.0.0.1, port_value: 0}}\nmetadata: {filter_metadata: {usher: {http_proxy: true}}}\nfilter_chains:\n- filters:" +
		manager(toUp, ""))
	const connect = "CONNECT db:5432 HTTP/1.1\r\nHost: db:5432\r\nProxy-Authorization: Basic Y3VzdG9tZXI6czNjcmV0\r\n\r\n"
	first := p.dial(t, nil)
	ask(t, first, connect, "200")
	ask(t, p.dial(t, nil), connect, "503")
	alive(t, first)
}

// TestPeerRevoked: connections of a peer whose certificate or authority is not good
// any more end, idle ones and upgraded ones.
func TestPeerRevoked(t *testing.T) {
	ca, other := newAuthority(t), newAuthority(t)
	soon := time.Now().Add(time.Hour)
	for name, change := range map[string]func(*proxy, *secrets){
		"expired": nil,
		"root removed": func(p *proxy, s *secrets) {
			s.mu.Lock()
			s.roots = x509.NewCertPool()
			s.roots.AddCert(other.cert)
			s.mu.Unlock()
			p.Rejudge()
		},
		"no roots": func(p *proxy, s *secrets) {
			s.mu.Lock()
			s.roots = nil
			s.mu.Unlock()
			p.Rejudge()
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSecrets(ca, ca.issue(t, uriB, soon))
			s.roots.AddCert(other.cert)
			p := newProxy(t, s)
			p.cluster(staticCluster("up", echoes(t, true), ""))
			p.cluster(staticCluster("tcp", echoes(t, false), ""))
			text := strings.Replace(inbound("STRICT"), "stat_prefix: test", "stat_prefix: test\n      upgrade_configs: [{upgrade_type: websocket}]", 1)
			p.start(strings.Replace(text, "routes: [", "routes: [{match: {prefix: /here}, direct_response: {status: 204}}, ", 1))
			until := soon
			if change == nil {
				until = time.Now().Add(2 * time.Second)
			}
			open := func(a *authority, until time.Time) (idle, upgraded net.Conn) {
				cert := a.issue(t, uriA, until)
				idle, upgraded = p.dial(t, cert), p.dial(t, cert)
				ask(t, idle, "GET /here HTTP/1.1\r\nHost: b\r\n\r\n", "204")
				ask(t, upgraded, websocket+"\r\n\r\n", "101")
				return idle, upgraded
			}
			idle, upgraded := open(ca, until)
			kept, going := open(other, soon)
			if change != nil {
				change(p, s)
			}
			ended(t, idle)
			ended(t, upgraded)
			if name == "no roots" {
				return
			}
			alive(t, going)
			ask(t, kept, "GET /here HTTP/1.1\r\nHost: b\r\n\r\n", "204")
		})
	}
}

// TestHostExpired: a pooled connection to a host whose certificate has expired is not
// used again.
func TestHostExpired(t *testing.T) {
	ca := newAuthority(t)
	in := newProxy(t, newSecrets(ca, ca.issue(t, uriB, time.Now().Add(2*time.Second))))
	in.cluster(staticCluster("up", backend(t, echo), ""))
	in.start(inbound("STRICT"))
	out := newProxy(t, newSecrets(ca, ca.issue(t, uriA, time.Now().Add(time.Hour))))
	out.cluster(istio(mtlsCluster(in.addr, uriB)))
	out.start(plainListener(""))
	for end, n := time.Now().Add(patience), 0; ; n++ {
		rs, _ := one(t, out.addr, "GET / HTTP/1.1\r\nHost: b\r\n\r\n", "GET")
		if rs.StatusCode == 503 && n > 0 {
			return
		}
		if rs.StatusCode != 200 || time.Now().After(end) {
			t.Fatal(n, rs.Status)
		}
	}
}
