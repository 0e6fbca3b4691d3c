package listener_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	xh2 "golang.org/x/net/http2"

	"github.com/usher-mesh/usher/internal/proxy/proxytest"
)

// TestCancel holds that a client's reset ends the request upstream.
func TestCancel(t *testing.T) {
	for name, make := range map[string]func(http.HandlerFunc) string{
		"to 1": func(h http.HandlerFunc) string { return staticCluster("up", backend(t, h), "") },
		"to 2": func(h http.HandlerFunc) string { return staticCluster("up", backend2(t, false, h), speak(explicit2)) },
	} {
		for _, began := range []bool{false, true} {
			begun, ended := newEvent(), newEvent()
			p := newProxy(t, nil)
			p.cluster(make(func(w http.ResponseWriter, r *http.Request) {
				if began {
					w.WriteHeader(200)
					w.(http.Flusher).Flush()
				}
				begun.set()
				<-r.Context().Done()
				ended.set()
			}))
			p.start(plainListener(""))
			ctx, cancel := context.WithCancel(context.Background())
			answered := newEvent()
			go func() {
				defer answered.set()
				rq, _ := http.NewRequestWithContext(ctx, "GET", "http://"+p.addr+"/", nil)
				rs, err := client2(t).Do(rq)
				if err == nil {
					io.Copy(io.Discard, rs.Body)
					rs.Body.Close()
				}
			}()
			begun.wait(t, name+": the request")
			cancel()
			ended.wait(t, name+": its end upstream")
			answered.wait(t, name+": its end")
		}
	}
}

// event is something that happens once.
type event chan struct{}

func newEvent() event { return make(event, 1) }
func (e event) set()  { e <- struct{}{} }
func (e event) wait(t testing.TB, what string) {
	t.Helper()
	select {
	case <-e:
	case <-time.After(10 * time.Second):
		t.Fatal(what + " did not come")
	}
}

// frames is a server of HTTP/2 that a test writes by hand: f serves the n-th connection.
func frames(t *testing.T, f func(n int, fr *xh2.Framer)) string {
	return proxytest.Serve(t, func(n int, c net.Conn) {
		io.ReadFull(c, make([]byte, len(xh2.ClientPreface)))
		fr := xh2.NewFramer(c, c)
		fr.WriteSettings()
		f(n, fr)
	})
}

// ok answers a stream.
func ok(fr *xh2.Framer, id uint32) {
	fr.WriteHeaders(xh2.HeadersFrameParam{StreamID: id, BlockFragment: []byte{0x88}, EndStream: true, EndHeaders: true}) // :status: 200
}

// TestNotProcessed holds that what a server has certainly not processed is sent
// again, content and all, and what it may have processed is not.
func TestNotProcessed(t *testing.T) {
	for name, tt := range map[string]struct {
		first  func(fr *xh2.Framer, id uint32)
		status int
		seen   int32
	}{
		"refused":      {func(fr *xh2.Framer, id uint32) { fr.WriteRSTStream(id, xh2.ErrCodeRefusedStream) }, 200, 2},
		"above GOAWAY": {func(fr *xh2.Framer, id uint32) { fr.WriteGoAway(0, xh2.ErrCodeNo, nil) }, 200, 2},
		"reset":        {func(fr *xh2.Framer, id uint32) { fr.WriteRSTStream(id, xh2.ErrCodeInternal) }, 503, 1},
	} {
		var seen atomic.Int32
		up := frames(t, func(_ int, fr *xh2.Framer) {
			for {
				f, err := fr.ReadFrame()
				if err != nil {
					return
				}
				if d, isData := f.(*xh2.DataFrame); isData && d.StreamEnded() {
					if string(d.Data()) != "content" {
						t.Errorf("%s: %q", name, d.Data())
					}
					if seen.Add(1) == 1 {
						tt.first(fr, d.StreamID)
					} else {
						ok(fr, d.StreamID)
					}
				}
			}
		})
		p := newProxy(t, nil)
		p.cluster(staticCluster("up", up, speak(explicit2)))
		p.start(plainListener(""))
		rs, err := client(t).Post("http://"+p.addr, "text/plain", strings.NewReader("content"))
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(rs.Body)
		rs.Body.Close()
		if rs.StatusCode != tt.status || seen.Load() != tt.seen {
			t.Errorf("%s: %d %q after %d tries", name, rs.StatusCode, b, seen.Load())
		}
	}
}

// counting is a server in clear of HTTP/2 that counts its connections.
func counting(t *testing.T, h http.HandlerFunc) (addr string, conns *atomic.Int32) {
	conns = new(atomic.Int32)
	s := httptest.NewUnstartedServer(h)
	s.Config.Protocols = only(true)
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			conns.Add(1)
		}
	}
	s.Start()
	t.Cleanup(s.Close)
	return s.Listener.Addr().String(), conns
}

// TestFewRequests holds that a connection carries no more requests than it may.
func TestFewRequests(t *testing.T) {
	for most, want := range map[int]int32{1: 6, 2: 3, 0: 1} {
		addr, conns := counting(t, told)
		p := newProxy(t, nil)
		p.cluster(staticCluster("up", addr, speak(explicit2)+fmt.Sprintf("\nmax_requests_per_connection: %d", most)))
		p.start(plainListener(""))
		c := client2(t)
		for range 6 {
			rs, err := c.Get("http://" + p.addr)
			if err != nil || rs.StatusCode != 200 {
				t.Fatal(rs, err)
			}
			io.Copy(io.Discard, rs.Body)
			rs.Body.Close()
		}
		if n := conns.Load(); n != want {
			t.Errorf("%d connections, want %d", n, want)
		}
	}
}

// TestOneConnection holds that many requests at a time share a connection, the first
// ones too, which come while it is being made.
func TestOneConnection(t *testing.T) {
	var inside atomic.Int32
	all := make(chan struct{})
	addr, conns := counting(t, func(http.ResponseWriter, *http.Request) {
		if inside.Add(1) == 50 {
			close(all)
		}
		<-all
	})
	p := newProxy(t, nil)
	p.cluster(staticCluster("up", addr, speak(explicit2)))
	p.start(plainListener(""))
	c := client2(t)
	answers := make(chan error, 50)
	for range 50 {
		go func() {
			rs, err := c.Get("http://" + p.addr)
			if err == nil {
				rs.Body.Close()
				if rs.StatusCode != 200 {
					err = fmt.Errorf("status %d", rs.StatusCode)
				}
			}
			answers <- err
		}()
	}
	for range 50 {
		if err := <-answers; err != nil {
			t.Error(err)
		}
	}
	if n := conns.Load(); n != 1 {
		t.Errorf("%d connections", n)
	}
}

// TestResetPassedOn holds that a client learns why its answer broke off.
func TestResetPassedOn(t *testing.T) {
	up := frames(t, func(_ int, fr *xh2.Framer) {
		for {
			f, err := fr.ReadFrame()
			if err != nil {
				return
			}
			if h, isHead := f.(*xh2.HeadersFrame); isHead {
				fr.WriteHeaders(xh2.HeadersFrameParam{StreamID: h.StreamID, BlockFragment: []byte{0x88}, EndHeaders: true}) // :status: 200
				fr.WriteData(h.StreamID, false, []byte("some"))
				fr.WriteRSTStream(h.StreamID, xh2.ErrCodeCancel)
			}
		}
	})
	p := newProxy(t, nil)
	p.cluster(staticCluster("up", up, speak(explicit2)))
	p.start(plainListener(""))
	rs, err := client2(t).Get("http://" + p.addr)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(rs.Body)
	rs.Body.Close()
	if string(b) != "some" || err == nil || !strings.Contains(err.Error(), "CANCEL") {
		t.Errorf("%q, %v", b, err)
	}
}
