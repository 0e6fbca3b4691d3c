// Package accesslog writes one line for each request, in Envoy's format strings
// or as JSON. It owns what may be shown: values that a filter declared secret are
// [redacted], control characters are escaped. It knows no connection.
package accesslog

import (
	"time"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
)

// Entry is what is known of a request when it has ended. It is valid only during
// the call it is given to.
type Entry struct {
	X        *exchange.Exchange
	End      time.Time
	Received int64 // bytes of the request's content
	Sent     int64 // bytes of the response's content
	// Upstream is how long the upstream took to its first byte; negative if none
	// was asked.
	Upstream      time.Duration
	UpstreamLocal string // source address of the upstream connection
	Attempts      int
	Route         string // name of the route
	VirtualHost   string
	// OriginalPath is the path as the client sent it.
	OriginalPath string
	RequestID    string
	// Failure is Envoy's transport failure reason; holds no text of a client.
	Failure string
}

// Logger writes entries.
type Logger interface {
	Log(*Entry)
}
