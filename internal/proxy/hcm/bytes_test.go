package hcm

import (
	"io"
	"log/slog"
	"net"
	"testing"
	"time"

	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/proxytest"
	"github.com/usher-mesh/usher/internal/proxy/snapshot"
)

// TestBytesOfConnections: what a client has sent is counted once, also what was read before
// the connection came here, and what it was sent apart from that, in either protocol.
func TestBytesOfConnections(t *testing.T) {
	for _, tt := range []struct {
		codec        hcmv3.HttpConnectionManager_CodecType
		prefix, rest string // what ends with a fault, so that the connection does
	}{
		{hcmv3.HttpConnectionManager_HTTP1, "GET / HT", "TP/1.1\r\nhost: a\nx"},
		{hcmv3.HttpConnectionManager_HTTP2, "PRI * HTTP/2.0", "\r\n\r\nSM\r\n\r\n" + "\x00\x00\x00\x04\x00\x00\x00\x00\x00" + "\x00\x00\x00\x00\x00\x00\x00\x00\x00"},
	} {
		near, far := net.Pipe()
		far.SetDeadline(time.Now().Add(10 * time.Second))
		m := routeless(t, "codec_type: "+tt.codec.String())
		c := &Connection{Conn: near, Prefix: []byte(tt.prefix), Info: &exchange.Conn{}, Current: func() *Manager { return m }, Draining: func() bool { return false }, Idle: func(bool) {}}
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			Serve(t.Context(), c)
		}()
		answer := make(chan int)
		go func() {
			b, _ := io.ReadAll(far)
			answer <- len(b)
		}()
		io.WriteString(far, tt.rest)
		got := <-answer
		<-ended
		if sent, received := m.stats.CxSent.Load(), m.stats.CxReceived.Load(); got == 0 || sent != uint64(got) || received != uint64(len(tt.prefix)+len(tt.rest)) {
			t.Errorf("%s: %d sent, %d received; the client has had %d and sent %d", tt.codec, sent, received, got, len(tt.prefix)+len(tt.rest))
		}
	}
}

// routeless is a manager without routes; more is further text of its configuration.
func routeless(t *testing.T, more string) *Manager {
	t.Helper()
	m, err := Compile(proxytest.Decode(t, `{stat_prefix: x, route_config: {}, http_filters: [{name: router, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}], `+more+`}`, new(hcmv3.HttpConnectionManager)),
		Options{Snapshot: func() *snapshot.Snapshot { return new(snapshot.Snapshot) }, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return m
}
