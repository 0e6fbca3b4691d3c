// Package filter says what an HTTP filter is and how one is made from Envoy's
// configuration. Each filter is a package below; proxy/app lists them. There is
// no registration by init.
package filter

import (
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
)

// Filter sees requests in the order of the configuration. It is compiled once
// and shared by all connections, so it keeps no state of a request.
type Filter interface {
	// Decode sees the request head. It returns false if it has answered with
	// exchange.Reply: no later filter sees the request then. It may block.
	Decode(x *exchange.Exchange) bool
}

// Encoder is a Filter that sees the response head too, in reverse order, local
// replies included.
type Encoder interface {
	Encode(x *exchange.Exchange)
}

// Closer is a Filter that holds something to release when its configuration is
// replaced.
type Closer interface {
	Close()
}

// Merger is what PerRoute made if it adds to what the level above says, of the same
// name; by default the most specific level counts alone.
type Merger interface {
	Over(less any) any
}

// Config is what a filter is made from.
type Config struct {
	Name  string     // the name in the list of HTTP filters
	Typed *anypb.Any // Envoy's message
	// StatPrefix is the connection manager's stat_prefix, which counters are
	// named after.
	StatPrefix string
	// LocalURI gives the URI SAN of the certificate that this side shows, "" if it has
	// none; nil without TLS.
	LocalURI func() string
	// Usher is metadata.filter_metadata["usher"] of the listener, or nil: what
	// only usher-proxy does (DESIGN 5.9).
	Usher *structpb.Struct
}

// Factory makes the filters of one type.
type Factory struct {
	// TypeURL is the configuration's, such as
	// "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC".
	TypeURL string
	// New compiles the configuration. An error names the field by its path.
	New func(Config) (Filter, error)
	// PerRoute compiles typed_per_filter_config; nil if there is none.
	PerRoute func(*anypb.Any) (any, error)
}

// Route is what a filter may ask of the selected route.
type Route interface {
	// FilterConfig gives what PerRoute made for the filter of this name, or nil.
	FilterConfig(name string) any
}
