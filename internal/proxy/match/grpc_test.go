package match

import (
	"testing"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
)

func TestGRPCRequest(t *testing.T) {
	for kind, want := range map[string]bool{
		"application/grpc": true, "application/grpc+proto": true, "application/grpc;charset=x": false, "application/grpc-web": false, "application/grpcx": false, "application/json": false, "": false,
	} {
		x := &exchange.Exchange{}
		x.Request.Header.Add("content-type", kind)
		if got := GRPC(x); got != want {
			t.Errorf("%s: %v", kind, got)
		}
	}
}
