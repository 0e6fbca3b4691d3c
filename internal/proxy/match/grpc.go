package match

import (
	"strings"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
)

// GRPC tells whether a request is one of gRPC: "application/grpc", also with a "+"
// and the messages' form (gRPC's PROTOCOL-HTTP2.md); with parameters it is none, as
// in Envoy.
func GRPC(x *exchange.Exchange) bool {
	return GRPCType(x.Request.Header.Get("content-type"))
}

// GRPCType tells whether content of that type is a stream of gRPC's messages.
func GRPCType(ct string) bool {
	return strings.HasPrefix(ct, "application/grpc") && (len(ct) == 16 || ct[16] == '+')
}
