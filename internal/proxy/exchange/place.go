package exchange

import (
	"crypto/tls"
	"crypto/x509"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/types/known/structpb"
)

// Metadata is what a configuration says of something for whoever asks, by namespace.
type Metadata interface {
	GetFilterMetadata() map[string]*structpb.Struct
}

// Place is what a configuration says of where connections come in.
type Place struct {
	Chain         string // name of the filter chain
	Metadata      Metadata
	ChainMetadata Metadata
}

// Endpoint is what formats ask of an upstream's endpoint.
type Endpoint interface {
	// Hostname is the endpoint's name, "" if it has none but its address.
	Hostname() string
	Metadata() Metadata
}

// VirtualHost is what formats ask of the virtual host that the routes are looked for in.
type VirtualHost interface {
	HostName() string
	Metadata() Metadata
}

// UpstreamConn is what is known of a connection to an endpoint.
type UpstreamConn struct {
	ID uint64
	// TLS tells of the handshake; nil in clear.
	TLS interface{ ConnectionState() tls.ConnectionState }
	// Shown is the certificate that this side has for the endpoint, nil without one.
	Shown *x509.Certificate
	// When it was begun, connected, and secured: zero in clear.
	Begun, Connected, Secured time.Time
}

var lastID atomic.Uint64

// NextID numbers connections: no two of the process have the same number.
func NextID() uint64 { return lastID.Add(1) }
