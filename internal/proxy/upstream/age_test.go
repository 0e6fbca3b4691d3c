package upstream

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// aged makes a cluster with max_connection_duration, of a server whose connections that
// are made and closed are told.
func aged(t *testing.T, http2 bool, duration string) (c *Cluster, made, closed chan net.Conn) {
	made, closed = make(chan net.Conn, 8), make(chan net.Conn, 8)
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	s.Config.Protocols = new(http.Protocols)
	s.Config.Protocols.SetHTTP1(!http2)
	s.Config.Protocols.SetUnencryptedHTTP2(http2)
	s.Config.ConnState = func(c net.Conn, st http.ConnState) {
		switch st {
		case http.StateNew:
			made <- c
		case http.StateClosed:
			closed <- c
		}
	}
	s.Start()
	t.Cleanup(s.Close)
	protocol := "http_protocol_options"
	if http2 {
		protocol = "http2_protocol_options"
	}
	more := strings.Replace(over2, "explicit_http_config: {http2_protocol_options",
		"common_http_protocol_options: {max_connection_duration: "+duration+"}, explicit_http_config: {"+protocol, 1)
	c = cluster(t, "{name: c, type: EDS, connect_timeout: 1s, eds_cluster_config: {eds_config: {ads: {}}}"+more+"}")
	_, port, _ := net.SplitHostPort(s.Listener.Addr().String())
	set(t, c, port)
	return c, made, closed
}

// TestMaxConnectionDuration: a connection that is too old carries no other request, and is
// closed.
func TestMaxConnectionDuration(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		ask := func(c *Cluster) {
			t.Helper()
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			if _, err := c.Call(ctx, post(2), nil, 100); err != nil {
				t.Fatal(err)
			}
		}
		within := func(what string, events chan net.Conn) {
			t.Helper()
			select {
			case <-events:
			case <-time.After(10 * time.Second):
				t.Fatalf("http2 %v: no connection is %s", http2, what)
			}
		}
		c, made, closed := aged(t, http2, "60s")
		var later atomic.Int64
		c.opts.Now = func() time.Time { return time.Now().Add(time.Duration(later.Load())) }
		ask(c)
		later.Store(int64(59 * time.Second))
		ask(c)
		within("made", made)
		if len(made) != 0 {
			t.Errorf("http2 %v: a connection is given up too early", http2)
		}
		later.Store(int64(61 * time.Second))
		ask(c)
		within("made", made)
		within("closed", closed)

		c, made, closed = aged(t, http2, "0.2s")
		ask(c)
		within("made", made)
		within("closed", closed) // though nobody asks
	}
}
