package http2

import (
	"time"

	"github.com/usher-mesh/usher/internal/proxy/http1"
)

// Options are the settings of one side of a connection. See Defaults.
type Options struct {
	TableSize    uint32 // bytes of the HPACK tables, the decoder's and the most of the encoder's
	MaxStreams   uint32 // at once
	StreamWindow int32  // bytes that the peer may send ahead on a stream
	ConnWindow   int32  // and on the connection

	// Frames that wait for the socket: all, and PING, SETTINGS and RST_STREAM alone.
	MaxOutbound, MaxOutboundControl int
	// MaxEmpty bounds consecutive frames without content and without an end.
	MaxEmpty int
	// MaxPriorities a stream; MaxWindowUpdates a DATA frame sent (Envoy's formulas).
	MaxPriorities, MaxWindowUpdates int
	// ResetBurst and ResetRate (a second) fill the bucket of RST_STREAM received.
	ResetBurst, ResetRate float64
	// StreamErrors: a malformed head ends its stream, not the connection.
	StreamErrors bool
	// CustomMethods takes any token for a method, and not registered ones alone.
	CustomMethods bool
	// Underscores says what becomes of fields with an underscore in their name; a stream
	// that they are refused on ends alone.
	Underscores http1.Underscores
	// Connect lets requests ask for another protocol on their stream (RFC 8441).
	Connect bool

	PingInterval, PingTimeout time.Duration // 0: no keepalive
	Idle                      time.Duration // without a stream; 0: no limit
	HeadTime                  time.Duration // of the preface, and of a head that has begun; 0: no limit
	DrainTime                 time.Duration // a server's: between the two GOAWAY of a drain, at most

	HeadBytes int // decoded, as RFC 9113, 6.5.2 counts; default 60 KiB
	Fields    int // of a head; default 100
}

const (
	defaultHead   = 60 << 10
	defaultFields = 100
)

// Defaults are what is not configured. Windows and streams are fewer than Envoy's:
// see docs/design/0006-http2.md.
func Defaults() Options {
	return Options{
		TableSize: 4096, MaxStreams: 100, StreamWindow: 256 << 10, ConnWindow: 1 << 20,
		MaxOutbound: 10000, MaxOutboundControl: 1000, MaxEmpty: 1, MaxPriorities: 100, MaxWindowUpdates: 10,
		ResetBurst: 1000, ResetRate: 33, HeadBytes: defaultHead, Fields: defaultFields,
	}
}
