package upstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	xh2 "golang.org/x/net/http2"

	"github.com/usher-mesh/usher/internal/proxy/proxytest"
	"github.com/usher-mesh/usher/test/harness"
)

// oneStream has connections of HTTP/2 with one stream at a time.
const oneStream = `, typed_extension_protocol_options: {envoy.extensions.upstreams.http.v3.HttpProtocolOptions: {"@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions, explicit_http_config: {http2_protocol_options: {max_concurrent_streams: 1}}}}`

// narrow is a host of which there may be one connection, with one stream.
func narrow(t *testing.T, http2 bool) *Host {
	t.Helper()
	s := serve(t, http2, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) })
	_, port, _ := net.SplitHostPort(s.Listener.Addr().String())
	more := ""
	if http2 {
		more = oneStream
	}
	c := cluster(t, "{name: c, type: STATIC, circuit_breakers: {thresholds: [{max_connections: 1}]}"+more+"}")
	set(t, c, port)
	return only(t, c)
}

// queued begins to wait, and is back when it does.
func queued(t *testing.T, ctx context.Context, h *Host, before int32) <-chan *Conn {
	t.Helper()
	if _, err := h.Get(ctx, time.Time{}, false, From{Major: 1}); err != ErrBusy {
		t.Fatalf("%v, want %v", err, ErrBusy)
	}
	got := make(chan *Conn, 1)
	go func() {
		conn, err := h.Await(ctx, time.Time{}, From{Major: 1})
		if err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		got <- conn
	}()
	harness.Eventually(t, 10*time.Second, "it waits", func() (bool, any) {
		n := h.pool.waits.Load()
		return n > before, n
	})
	return got
}

// soon gives what who waits gets in the end.
func soon(t *testing.T, got <-chan *Conn) *Conn {
	t.Helper()
	select {
	case conn := <-got:
		return conn
	case <-time.After(10 * time.Second):
		t.Fatal("who waits gets nothing")
		return nil
	}
}

// TestQueueLeft: what was given to who has just left is the next one's.
func TestQueueLeft(t *testing.T) {
	h := narrow(t, false)
	conn, err := h.Get(t.Context(), time.Time{}, false, From{Major: 1})
	if err != nil {
		t.Fatal(err)
	}
	left := h.pool.queue(false)
	next := queued(t, t.Context(), h, 1)
	conn.Put(true)
	h.pool.leave(left)
	if got := soon(t, next); got != conn {
		t.Error("the connection is lost")
	}
	left = h.pool.queue(false)
	next = queued(t, t.Context(), h, 1)
	conn.Put(false) // its end wakes who has left
	h.pool.leave(left)
	soon(t, next).Put(false)
}

// TestQueue: who waits gets a connection in turn, one that ended is replaced, and who leaves
// keeps nothing from the others.
func TestQueue(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		h := narrow(t, http2)
		first, err := h.Get(t.Context(), time.Time{}, false, From{Major: 1})
		if err != nil {
			t.Fatal(err)
		}
		left, leave := context.WithCancel(t.Context())
		second := queued(t, t.Context(), h, 0)
		third := queued(t, left, h, 1)
		fourth := queued(t, t.Context(), h, 2)
		if n := h.cluster.breakers[Default].pending.Load(); n != 3 {
			t.Errorf("HTTP/2 %v: %d wait, want 3", http2, n)
		}
		leave()
		if conn := soon(t, third); conn != nil {
			t.Errorf("HTTP/2 %v: who left has a connection", http2)
		}
		first.Put(true)
		conn := soon(t, second)
		if len(fourth) > 0 || conn == nil {
			t.Fatalf("HTTP/2 %v: not in turn", http2)
		}
		if !http2 && conn != first {
			t.Error("not the connection that got free")
		}
		if http2 {
			h.closeIdle() // it carries no further stream
		}
		conn.Put(false)
		if conn = soon(t, fourth); conn == nil {
			t.Fatalf("HTTP/2 %v: none is made in the place of one that ended", http2)
		}
		conn.Put(true)
		if n, w, a := h.cluster.breakers[Default].pending.Load(), h.pool.waits.Load(), h.cluster.breakers[Default].active.Load(); n != 0 || w != 0 || a != 0 {
			t.Errorf("HTTP/2 %v: in the end %d pending, %d wait, %d requests", http2, n, w, a)
		}
	}
}

// TestQueueTakesAllStreams: when a connection is made, all who wait get its streams.
func TestQueueTakesAllStreams(t *testing.T) {
	s := serve(t, true, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) })
	_, port, _ := net.SplitHostPort(s.Listener.Addr().String())
	c := cluster(t, "{name: c, type: STATIC, circuit_breakers: {thresholds: [{max_connections: 1}]}"+strings.Replace(oneStream, "streams: 1", "streams: 3", 1)+"}")
	set(t, c, port)
	h := only(t, c)
	var old []*Conn
	for range 3 {
		conn, err := h.Get(t.Context(), time.Time{}, false, From{Major: 2})
		if err != nil {
			t.Fatal(err)
		}
		old = append(old, conn)
	}
	var waiting []<-chan *Conn
	for i := range int32(3) {
		waiting = append(waiting, queued(t, t.Context(), h, i))
	}
	h.closeIdle() // it carries no further stream
	for _, conn := range old {
		conn.Put(false)
	}
	var all []*Conn
	for _, got := range waiting {
		all = append(all, soon(t, got))
	}
	for _, conn := range all {
		conn.Put(true)
	}
	if n, w := h.cluster.breakers[Default].pending.Load(), h.pool.waits.Load(); n != 0 || w != 0 {
		t.Errorf("in the end %d pending, %d wait", n, w)
	}
}

// TestQueueHearsOfRoom: who waits has the streams that a server allows later.
func TestQueueHearsOfRoom(t *testing.T) {
	known, more := make(chan bool), make(chan bool)
	addr := proxytest.Serve(t, func(_ int, c net.Conn) {
		io.ReadFull(c, make([]byte, len(xh2.ClientPreface)))
		fr := xh2.NewFramer(c, c)
		fr.WriteSettings(xh2.Setting{ID: xh2.SettingMaxConcurrentStreams, Val: 1})
		for {
			f, err := fr.ReadFrame()
			if err != nil {
				return
			}
			if s, ok := f.(*xh2.SettingsFrame); ok && s.IsAck() {
				if _, wait := <-known; wait {
					<-more
					fr.WriteSettings(xh2.Setting{ID: xh2.SettingMaxConcurrentStreams, Val: 3})
				}
			}
		}
	})
	_, port, _ := net.SplitHostPort(addr)
	c := cluster(t, "{name: c, type: STATIC, circuit_breakers: {thresholds: [{max_connections: 1}]}"+over2+"}")
	set(t, c, port)
	h := only(t, c)
	first, err := h.Get(t.Context(), time.Time{}, false, From{Major: 2})
	if err != nil {
		t.Fatal(err)
	}
	known <- true
	close(known)
	second := queued(t, t.Context(), h, 0)
	third := queued(t, t.Context(), h, 1)
	close(more)
	soon(t, second).Put(true)
	soon(t, third).Put(true)
	first.Put(true)
	if n, w, a := h.cluster.breakers[Default].pending.Load(), h.pool.waits.Load(), h.cluster.breakers[Default].active.Load(); n != 0 || w != 0 || a != 0 {
		t.Errorf("in the end %d pending, %d wait, %d requests", n, w, a)
	}
}

// TestQueueBeforeNewcomers: a stream that gets free is for who waits, also if that one leaves.
func TestQueueBeforeNewcomers(t *testing.T) {
	h := narrow(t, true)
	conn, err := h.Get(t.Context(), time.Time{}, false, From{Major: 2})
	if err != nil {
		t.Fatal(err)
	}
	left := h.pool.queue(false)
	next := queued(t, t.Context(), h, 1)
	conn.Put(true)
	if _, err := h.Get(t.Context(), time.Time{}, false, From{Major: 2}); err != ErrBusy {
		t.Errorf("who comes last is served first: %v", err)
	}
	h.pool.leave(left)
	soon(t, next).Put(true)
	if n, a := h.cluster.breakers[Default].pending.Load(), h.cluster.breakers[Default].active.Load(); n != 0 || a != 0 {
		t.Errorf("in the end %d pending, %d requests", n, a)
	}
}

// TestQueueOfEachVersion: where hosts are spoken to as clients speak, a connection of HTTP/2
// keeps no request of HTTP/1.1 waiting, which could not use it.
func TestQueueOfEachVersion(t *testing.T) {
	s := serve(t, true, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) })
	_, port, _ := net.SplitHostPort(s.Listener.Addr().String())
	c := cluster(t, "{name: c, type: STATIC, circuit_breakers: {thresholds: [{max_connections: 1}]}"+strings.Replace(oneStream, "explicit_http_config", "use_downstream_protocol_config", 1)+"}")
	set(t, c, port)
	h := only(t, c)
	for _, major := range []int{2, 1} {
		conn, err := h.Get(t.Context(), time.Time{}, false, From{Major: major})
		if err != nil {
			t.Fatalf("HTTP/%d: %v", major, err)
		}
		defer conn.Put(true)
		if conn.HTTP2() != (major == 2) {
			t.Errorf("HTTP/%d: another version", major)
		}
		if _, err := h.Get(t.Context(), time.Time{}, false, From{Major: major}); err != ErrBusy {
			t.Errorf("HTTP/%d: %v, want %v", major, err, ErrBusy)
		}
	}
}

// TestQueueForgetsNobody: however connections get free, end, and are given up, nobody waits
// for ever.
func TestQueueForgetsNobody(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		h := narrow(t, http2)
		var all sync.WaitGroup
		for n := range 16 {
			all.Go(func() {
				for i := range 40 {
					ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
					if (n+i)%5 == 0 {
						time.AfterFunc(time.Duration(i)*20*time.Microsecond, cancel)
					}
					conn, err := h.Get(ctx, time.Time{}, false, From{Major: 1})
					if err == ErrBusy {
						conn, err = h.Await(ctx, time.Time{}, From{Major: 1})
					}
					if err == nil {
						conn.Put(http2 || (n+i)%3 > 0)
					} else if ctx.Err() == nil || errors.Is(ctx.Err(), context.DeadlineExceeded) {
						t.Errorf("HTTP/2 %v: %v", http2, err)
					}
					cancel()
				}
			})
		}
		all.Wait()
		harness.Eventually(t, 10*time.Second, "nobody waits", func() (bool, any) {
			got := fmt.Sprint(h.pool.waits.Load(), h.cluster.breakers[Default].pending.Load(), h.cluster.breakers[Default].active.Load())
			return got == "0 0 0", got
		})
		if n := h.cluster.breakers[Default].conns.Load(); n > 1 || n != h.open.Load() {
			t.Errorf("HTTP/2 %v: %d connections are open, of the host %d", http2, n, h.open.Load())
		}
	}
}
