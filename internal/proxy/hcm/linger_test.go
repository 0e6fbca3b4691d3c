package hcm

import (
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
)

// halfClosed is a connection that can be closed on one side.
type halfClosed struct{ net.Conn }

func (halfClosed) CloseWrite() error { return nil }

// TestLinger: a client that goes on sending is heard, within bounds of its bytes and its
// time, one that is silent as long as configured.
func TestLinger(t *testing.T) {
	for _, tt := range []struct {
		name          string
		delayed       time.Duration
		pieces, bytes int // one every 900 ms
		want          time.Duration
	}{
		{"silent", time.Second, 0, 0, time.Second},
		{"silent, and patient", time.Minute, 0, 0, lingerTime},
		{"sends on", time.Second, 3, 1000, 3*900*time.Millisecond + time.Second},
		{"sends for ever", time.Second, 1000, 1, lingerTime},
		{"sends much", time.Second, 4, lingerBytes / 2, 2 * 900 * time.Millisecond},
		{"not at all", 0, 0, 0, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			near, far := net.Pipe()
			defer far.Close()
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				for range tt.pieces {
					time.Sleep(900 * time.Millisecond)
					if _, err := far.Write(make([]byte, tt.bytes)); err != nil {
						return
					}
				}
			}()
			begun := time.Now()
			(&session{nc: halfClosed{near}, m: &Manager{delayedClose: tt.delayed}}).linger()
			if took := time.Since(begun); took != tt.want {
				t.Errorf("%s: it took %v, want %v", tt.name, took, tt.want)
			}
			near.Close()
			<-ended
		})
	}
}

// TestLingerOnce: after an answer that ends the connection, whoever gave it, the client's
// silence is awaited once.
func TestLingerOnce(t *testing.T) {
	for name, sent := range map[string]string{
		"served":              "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
		"no line end":         "GET / HTTP/1.1\nhost: a\r\n",
		"no field":            "GET / HTTP/1.1\r\nhost: a\r\nb\r\n\r\n",
		"no host":             "GET / HTTP/1.1\r\n\r\n",
		"an old version":      "GET / HTTP/1.0\r\nhost: a\r\n\r\n",
		"lengths that differ": "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				near, far := net.Pipe()
				defer far.Close()
				m := routeless(t, "delayed_close_timeout: 3s")
				go func() {
					io.WriteString(far, sent)
					io.Copy(io.Discard, far)
				}()
				begun := time.Now()
				Serve(t.Context(), &Connection{Conn: halfClosed{near}, Info: &exchange.Conn{}, Current: func() *Manager { return m }, Draining: func() bool { return false }, Idle: func(bool) {}})
				if took := time.Since(begun); took != 3*time.Second {
					t.Errorf("it took %v", took)
				}
			})
		})
	}
}
