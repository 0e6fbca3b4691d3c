package hcm

import (
	"reflect"
	"testing"
	"unsafe"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/snapshot"
	"github.com/usher-mesh/usher/internal/proxy/upstream"
)

// What an exchange has seen on one connection, nothing of it is there on the next.
func TestRestLeavesNothingBehind(t *testing.T) {
	s := &session{c: &Connection{Info: &exchange.Conn{ID: 1}}}
	s.hooks()
	s.take()
	x := s.x
	if x.Conn != s.c.Info || x.Sleep == nil || x.Buffer == nil || x.Watch == nil {
		t.Fatal("a filter can ask nothing")
	}
	x.Request.Path, x.Listener, x.Details = "/secret", "l", "d"
	x.Request.Header.Add("authorization", "Bearer x")
	x.Response.Header.Add("set-cookie", "x")
	x.Redact([]exchange.Secret{{Name: "token"}})
	x.Keep("a", "b")
	s.snap, s.held, s.asked, s.websocketKey = &snapshot.Snapshot{}, &upstream.Conn{}, &x.Request, "k"
	s.rest()
	if !reflect.ValueOf(s.current).IsZero() {
		t.Errorf("the session holds %+v", s.current)
	}
	if s.x != nil {
		t.Error("a connection that waits has an exchange")
	}
	for _, h := range []*exchange.Header{&x.Request.Header, &x.Response.Header} {
		if all := h.Fields(); len(all) != 0 || cap(all) == 0 || all[:1][0] != (exchange.Field{}) {
			t.Errorf("a field is left, or the room for fields is not: %v", all[:cap(all)])
		}
	}
	if names := x.Secrets(); len(names) != 0 || names[:1][0].Name != "" {
		t.Errorf("names of secrets are left: %v", names[:1])
	}
	if x.Conn != nil || x.Listener != "" || x.Request.Path != "" || x.Details != "" || x.Kept("a") != nil || x.Sleep != nil || x.Buffer != nil || x.Watch != nil {
		t.Errorf("left behind: %+v", x)
	}
}

// A session is what each connection that waits costs, next to its stack: beyond a class
// of the allocator it costs a quarter more.
func TestSessionIsSmall(t *testing.T) {
	if n := unsafe.Sizeof(session{}); n > 640 {
		t.Errorf("a session has %d bytes, above 640", n)
	}
}
