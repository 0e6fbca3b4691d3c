package hcm

import (
	"net"
	"testing"
	"testing/synctest"
	"time"
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
