package http2

import (
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	xh2 "golang.org/x/net/http2"
)

// TestFloods holds that each costs its connection, after little work, and is counted.
func TestFloods(t *testing.T) {
	const forever = 1 << 30
	for name, tt := range map[string]struct {
		buffered bool
		count    func(*Counters) *atomic.Uint64
		flood    func(p *peer) error // one step of it
	}{
		"rapid reset": {true, func(n *Counters) *atomic.Uint64 { return &n.ResetFlood }, func(p *peer) error {
			id := uint32(2*p.count() - 1)
			p.headers(id, true, get...)
			return p.fr.WriteRSTStream(id, xh2.ErrCodeCancel)
		}},
		"CONTINUATION of many bytes": {true, func(n *Counters) *atomic.Uint64 { return &n.HeaderOverflow }, func(p *peer) error {
			b := p.block("x: " + strings.Repeat("\xff", 8000))
			if p.count() == 1 {
				return p.fr.WriteHeaders(xh2.HeadersFrameParam{StreamID: 1, BlockFragment: b, EndStream: true})
			}
			return p.fr.WriteContinuation(1, false, b)
		}},
		"CONTINUATION of few bytes": {true, func(n *Counters) *atomic.Uint64 { return &n.HeaderOverflow }, func(p *peer) error {
			b := p.block("x: y")
			if p.count() == 1 {
				return p.fr.WriteHeaders(xh2.HeadersFrameParam{StreamID: 1, BlockFragment: b, EndStream: true})
			}
			return p.fr.WriteContinuation(1, false, b)
		}},
		"empty CONTINUATION": {true, func(n *Counters) *atomic.Uint64 { return &n.EmptyFramesFlood }, func(p *peer) error {
			if p.count() == 1 {
				return p.fr.WriteHeaders(xh2.HeadersFrameParam{StreamID: 1, BlockFragment: p.block(get...), EndStream: true})
			}
			return p.fr.WriteContinuation(1, false, nil)
		}},
		"empty DATA": {true, func(n *Counters) *atomic.Uint64 { return &n.EmptyFramesFlood }, func(p *peer) error {
			if p.count() == 1 {
				p.headers(1, false, post...)
			}
			return p.fr.WriteData(1, false, nil)
		}},
		"padding alone": {true, func(n *Counters) *atomic.Uint64 { return &n.EmptyFramesFlood }, func(p *peer) error {
			if p.count() == 1 {
				p.headers(1, false, post...)
			}
			return p.fr.WriteDataPadded(1, false, nil, make([]byte, 255))
		}},
		"PING, not read": {false, func(n *Counters) *atomic.Uint64 { return &n.OutboundControlFlood }, func(p *peer) error {
			return p.fr.WritePing(false, [8]byte{})
		}},
		"SETTINGS, not read": {false, func(n *Counters) *atomic.Uint64 { return &n.OutboundControlFlood }, func(p *peer) error {
			return p.fr.WriteSettings(xh2.Setting{ID: xh2.SettingInitialWindowSize, Val: 1})
		}},
		"refused streams, not read": {false, func(n *Counters) *atomic.Uint64 { return &n.OutboundControlFlood }, func(p *peer) error {
			return p.fr.WriteHeaders(xh2.HeadersFrameParam{StreamID: uint32(2*p.count() - 1), BlockFragment: p.block("X: y"), EndStream: true, EndHeaders: true})
		}},
		"PRIORITY": {true, func(n *Counters) *atomic.Uint64 { return &n.PriorityFramesFlood }, func(p *peer) error {
			return p.fr.WritePriority(uint32(2*p.count()+1), xh2.PriorityParam{})
		}},
		"WINDOW_UPDATE": {true, func(n *Counters) *atomic.Uint64 { return &n.WindowUpdateFramesFlood }, func(p *peer) error {
			return p.fr.WriteWindowUpdate(0, 1)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			o := Defaults()
			o.StreamErrors = true
			p := serve(t, o, tt.buffered, &handler{serve: echo})
			ended := make(chan string, 1)
			if tt.buffered { // else nothing of what the server says is read
				go func() { ended <- p.ended() }()
			}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			n := 0
			for n < forever && tt.flood(p) == nil {
				n++
			}
			runtime.ReadMemStats(&after)
			if tt.buffered {
				if got := <-ended; got != "ENHANCE_YOUR_CALM" && got != "EOF" { // what was sent on may have reset the connection
					t.Error(got)
				}
			}
			if got := tt.count(p.n).Load(); got != 1 {
				t.Errorf("counted %d times after %d steps", got, n)
			}
			if grown := int64(after.HeapInuse) - int64(before.HeapInuse); grown > 8<<20 {
				t.Errorf("%d bytes more in use", grown)
			}
		})
	}
}

// TestHeaderBomb holds that a head which is small on the wire and large when it is
// decoded costs its stream, and no more memory than the limit.
func TestHeaderBomb(t *testing.T) {
	p := serve(t, Defaults(), true, &handler{serve: echo})
	var before, after runtime.MemStats
	p.headers(1, true, with(get, "x: "+strings.Repeat("y", 3900))...) // goes into the table
	if got := p.message(1); !strings.HasPrefix(got, ":status: 200") {
		t.Fatal(got)
	}
	b := append([]byte(nil), p.block(with(get, "x: "+strings.Repeat("y", 3900))...)...)
	last := b[len(b)-1] // its index
	runtime.ReadMemStats(&before)
	for range 60000 / 4 {
		b = append(b, last, last, last, last)
	}
	p.fr.WriteHeaders(xh2.HeadersFrameParam{StreamID: 3, BlockFragment: b[:16000], EndStream: true})
	for b = b[16000:]; len(b) > 16000; b = b[16000:] {
		p.fr.WriteContinuation(3, false, b[:16000])
	}
	p.fr.WriteContinuation(3, true, b)
	if got := p.message(3); got != "RST ENHANCE_YOUR_CALM" {
		t.Errorf("%q", got)
	}
	runtime.ReadMemStats(&after)
	if grown := int64(after.TotalAlloc) - int64(before.TotalAlloc); grown > 4<<20 {
		t.Errorf("%d bytes allocated", grown)
	}
	p.headers(5, true, get...) // the table is still in step
	if got := p.message(5); !strings.HasPrefix(got, ":status: 200") {
		t.Errorf("%q", got)
	}
}
