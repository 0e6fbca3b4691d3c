package xdsgen

import (
	"math"

	commonv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/common/fault/v3"
	faultv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/fault/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/usher-mesh/usher/internal/mesh"
)

// faultName names the filter that routes configure.
const faultName = "envoy.filters.http.fault"

// fault makes the settings of one route. The counters by the client's own name are
// switched off: a client could make any number of them.
func fault(f *mesh.Fault) *faultv3.HTTPFault {
	out := &faultv3.HTTPFault{DisableDownstreamClusterStats: true}
	if f.Delay > 0 {
		out.Delay = &commonv3.FaultDelay{FaultDelaySecifier: &commonv3.FaultDelay_FixedDelay{FixedDelay: durationpb.New(f.Delay)}, Percentage: percent(f.DelayShare)}
	}
	switch {
	case f.AbortHTTP != nil:
		out.Abort = &faultv3.FaultAbort{ErrorType: &faultv3.FaultAbort_HttpStatus{HttpStatus: *f.AbortHTTP}, Percentage: percent(f.AbortShare)}
	case f.AbortGRPC != nil:
		out.Abort = &faultv3.FaultAbort{ErrorType: &faultv3.FaultAbort_GrpcStatus{GrpcStatus: *f.AbortGRPC}, Percentage: percent(f.AbortShare)}
	}
	return out
}

// percent is as fine as Envoy takes it.
func percent(v float64) *typev3.FractionalPercent {
	return &typev3.FractionalPercent{Numerator: uint32(math.Round(v * 10_000)), Denominator: typev3.FractionalPercent_MILLION}
}
