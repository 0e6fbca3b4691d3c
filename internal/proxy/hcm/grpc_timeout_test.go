package hcm

import (
	"testing"
	"time"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/route"
)

func TestGRPCTimeout(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"1H": time.Hour, "2M": 2 * time.Minute, "30S": 30 * time.Second, "250m": 250 * time.Millisecond, "7u": 7 * time.Microsecond,
		"99999999n": 99999999, "99999999H": 10 * 365 * 24 * time.Hour, "0S": 1,
		"": 0, "S": 0, "1": 0, "1s": 0, "-1S": 0, "1.5S": 0, "123456789S": 0, " 1S": 0, "1S ": 0,
	} {
		if got, ok := grpcTimeout(text); got != want || ok != (want > 0) {
			t.Errorf("%q: %v %v", text, got, ok)
		}
	}
}

func TestTimeouts(t *testing.T) {
	const s = time.Second
	for _, tt := range []struct {
		grpc, stream   time.Duration // of the route; negative: not set
		contentType    string
		header         string
		answer, lasted time.Duration
	}{
		{-1, -1, "application/grpc", "3S", 15 * s, 60 * s},
		{0, -1, "application/grpc", "3S", 3 * s, 60 * s},
		{2 * s, -1, "application/grpc", "3S", 2 * s, 60 * s},
		{5 * s, -1, "application/grpc", "3S", 3 * s, 60 * s},
		{0, -1, "application/grpc", "", 0, 60 * s},
		{2 * s, -1, "application/grpc", "x", 2 * s, 60 * s},
		{0, -1, "text/plain", "3S", 15 * s, 60 * s},
		{-1, 0, "application/grpc+proto", "3S", 15 * s, 3 * s},
		{-1, 2 * s, "application/grpc", "3S", 15 * s, 2 * s},
		{-1, 0, "application/grpc", "", 15 * s, 60 * s},
	} {
		se := &session{x: new(exchange.Exchange)}
		se.x.Request.Header.Add("content-type", tt.contentType)
		if tt.header != "" {
			se.x.Request.Header.Add("grpc-timeout", tt.header)
		}
		answer, lasted := se.timeouts(&route.Forward{Timeout: 15 * s, MaxDuration: 60 * s, GRPCTimeout: tt.grpc, GRPCStream: tt.stream})
		if answer != tt.answer || lasted != tt.lasted {
			t.Errorf("%+v: %v, %v", tt, answer, lasted)
		}
	}
}
