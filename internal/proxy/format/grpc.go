package format

import (
	"strconv"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/match"
	"github.com/usher-mesh/usher/internal/proxy/strict"
)

// grpcNames are the names of statuses in both of Envoy's forms.
var grpcNames = [...]struct{ camel, snake string }{
	{"OK", "OK"}, {"Canceled", "CANCELLED"}, {"Unknown", "UNKNOWN"}, {"InvalidArgument", "INVALID_ARGUMENT"}, {"DeadlineExceeded", "DEADLINE_EXCEEDED"},
	{"NotFound", "NOT_FOUND"}, {"AlreadyExists", "ALREADY_EXISTS"}, {"PermissionDenied", "PERMISSION_DENIED"}, {"ResourceExhausted", "RESOURCE_EXHAUSTED"},
	{"FailedPrecondition", "FAILED_PRECONDITION"}, {"Aborted", "ABORTED"}, {"OutOfRange", "OUT_OF_RANGE"}, {"Unimplemented", "UNIMPLEMENTED"},
	{"Internal", "INTERNAL"}, {"Unavailable", "UNAVAILABLE"}, {"DataLoss", "DATA_LOSS"}, {"Unauthenticated", "UNAUTHENTICATED"},
}

// GRPCStatus gives the status of an answer: what the trailers say, else the head, else
// what its HTTP status means; false: there is no answer. It is -1 if it is no number.
func GRPCStatus(x *exchange.Exchange) (int, bool) {
	for _, h := range [2]*exchange.Header{&x.Response.Trailer, &x.Response.Header} {
		if v, ok := h.Lookup("grpc-status"); ok {
			n, err := strconv.ParseUint(v, 10, 31)
			if err != nil {
				return -1, true
			}
			return int(n), true
		}
	}
	switch x.Response.Status {
	case 0:
		return 0, false
	case 400:
		return 13, true
	case 401:
		return 16, true
	case 403:
		return 7, true
	case 404:
		return 12, true
	case 429, 502, 503, 504:
		return 14, true
	}
	return 2, true
}

// grpcOf is GRPCStatus of requests of gRPC alone.
func grpcOf(x *exchange.Exchange) (int, bool) {
	if !match.GRPC(x) {
		return 0, false
	}
	return GRPCStatus(x)
}

func grpcStatus(arg string) (operator, error) {
	switch arg {
	case "", "CAMEL_STRING":
		return grpcName(func(n int) string { return grpcNames[n].camel }), nil
	case "SNAKE_STRING":
		return grpcName(func(n int) string { return grpcNames[n].snake }), nil
	case "NUMBER":
		return grpcStatusNumber, nil
	}
	return nil, strict.ErrUnsupported
}

func grpcName(name func(int) string) operator {
	return func(b []byte, s *Subject) ([]byte, kind) {
		n, ok := grpcOf(s.X)
		switch {
		case !ok:
			return b, missing
		case n >= 0 && n < len(grpcNames):
			return append(b, name(n)...), text
		}
		return strconv.AppendInt(b, int64(n), 10), text
	}
}

func grpcStatusNumber(b []byte, s *Subject) ([]byte, kind) {
	n, ok := grpcOf(s.X)
	if !ok {
		return b, missing
	}
	return strconv.AppendInt(b, int64(n), 10), bare
}
