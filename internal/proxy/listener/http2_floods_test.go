package listener_test

import (
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	xh2 "golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/usher-mesh/usher/internal/proxy/http2"
)

// TestRapidReset holds that 100,000 streams begun and reset end their connection, not
// the proxy: others are served meanwhile, and memory stays.
func TestRapidReset(t *testing.T) {
	p := newProxy(t, nil)
	p.opts.HTTP2 = new(http2.Counters)
	p.cluster(staticCluster("up", backend(t, told), ""))
	p.start(plainListener(""))
	c := client2(t)
	others := func() {
		rs, err := c.Get("http://" + p.addr)
		if err != nil || rs.StatusCode != 200 {
			t.Errorf("another client: %v %v", rs, err)
			return
		}
		io.Copy(io.Discard, rs.Body)
		rs.Body.Close()
	}
	others()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	pairs, conns := 0, 0
	for ; pairs < 100_000; conns++ {
		nc, err := net.Dial("tcp", p.addr)
		if err != nil {
			t.Fatal(err)
		}
		go io.Copy(io.Discard, nc)
		io.WriteString(nc, xh2.ClientPreface)
		fr := xh2.NewFramer(nc, nil)
		fr.WriteSettings()
		var block strings.Builder
		enc := hpack.NewEncoder(&block)
		for id := uint32(1); pairs < 100_000; id += 2 {
			block.Reset()
			for _, f := range [][2]string{{":method", "GET"}, {":scheme", "http"}, {":authority", "a"}, {":path", "/"}} {
				enc.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]})
			}
			fr.WriteHeaders(xh2.HeadersFrameParam{StreamID: id, BlockFragment: []byte(block.String()), EndStream: true, EndHeaders: true})
			if fr.WriteRSTStream(id, xh2.ErrCodeCancel) != nil {
				break
			}
			if pairs++; pairs%5000 == 0 {
				others()
			}
		}
		nc.Close()
	}
	others()
	runtime.GC()
	runtime.ReadMemStats(&after)
	if n := p.opts.HTTP2.ResetFlood.Load(); n == 0 || n > uint64(conns) {
		t.Errorf("counted %d times on %d connections", n, conns)
	}
	if grown := int64(after.HeapInuse) - int64(before.HeapInuse); grown > 16<<20 {
		t.Errorf("%d bytes more in use", grown)
	}
}

// TestStalledClient holds that a client which does not read makes the proxy take no
// more of the answer than a window.
func TestStalledClient(t *testing.T) {
	var sent atomic.Int64
	up := backend2(t, false, func(w http.ResponseWriter, r *http.Request) {
		chunk := make([]byte, 4096)
		for r.Context().Err() == nil {
			n, err := w.Write(chunk)
			if sent.Add(int64(n)); err != nil {
				return
			}
			w.(http.Flusher).Flush()
		}
	})
	p := newProxy(t, nil)
	p.cluster(staticCluster("up", up, speak(explicit2)))
	p.start(plainListener("stream_idle_timeout: 1s"))
	nc, err := net.Dial("tcp", p.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(10 * time.Second))
	io.WriteString(nc, xh2.ClientPreface)
	fr := xh2.NewFramer(nc, nc)
	fr.WriteSettings(xh2.Setting{ID: xh2.SettingInitialWindowSize, Val: 0})
	fr.WriteHeaders(xh2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte{0x82, 0x84, 0x86, 0x41, 0x01, 'a'}, EndStream: true, EndHeaders: true})
	for {
		f, err := fr.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		if d, isData := f.(*xh2.DataFrame); isData {
			t.Fatalf("%d bytes into a closed window", d.Length)
		}
		if r, isReset := f.(*xh2.RSTStreamFrame); isReset {
			if r.ErrCode != xh2.ErrCodeInternal {
				t.Error(r.ErrCode)
			}
			break // when it was idle for too long
		}
	}
	if n := sent.Load(); n == 0 || n > 256<<10+64<<10 {
		t.Errorf("%d bytes taken", n)
	}
}
