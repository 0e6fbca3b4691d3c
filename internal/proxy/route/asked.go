package route

import (
	"slices"
	"strings"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/match"
)

// asked is what a request says itself about being sent again, in fields that are the
// router's alone. Those who may not say it have had them removed when it came.
type asked struct{ on, grpcOn, times, codes, names string }

// field gives where a field's value goes, nil if it is none of these.
func (a *asked) field(name string) *string {
	switch name {
	case "x-envoy-retry-on":
		return &a.on
	case "x-envoy-retry-grpc-on":
		return &a.grpcOn
	case "x-envoy-max-retries":
		return &a.times
	case "x-envoy-retriable-status-codes":
		return &a.codes
	case "x-envoy-retriable-header-names":
		return &a.names
	}
	return nil
}

// For gives what holds for a request, with what it asks for itself: nil if it is not to be
// sent again. The fields by which it asks are removed.
func (r *Retry) For(x *exchange.Exchange) *Retry {
	h := &x.Request.Header
	var a asked
	asks := false
	for _, f := range h.Fields() {
		if !strings.HasPrefix(f.Name, "x-envoy-") {
			continue
		}
		if v := a.field(f.Name); v != nil {
			if asks = true; *v != "" {
				*v += ","
			}
			*v += f.Value
		}
	}
	may := r == nil || len(r.request) == 0 || slices.ContainsFunc(r.request, func(h *match.Header) bool { return h.Match(x) })
	if asks {
		h.DelFunc(func(f exchange.Field) bool { return a.field(f.Name) != nil })
		r = r.with(&a)
	}
	if r == nil || !may || !r.any {
		return nil
	}
	return r
}

// with gives the policy that a request asks for.
func (r *Retry) with(a *asked) *Retry {
	if r == nil {
		r = defaultRetry()
	} else {
		own := *r
		r = &own
	}
	for on := range strings.SplitSeq(a.on, ",") {
		r.on(strings.TrimSpace(on))
	}
	for on := range strings.SplitSeq(a.grpcOn, ",") {
		r.onGRPC(strings.TrimSpace(on))
	}
	if n, ok := Number(a.times); ok && r.any {
		r.Times = int(min(n, maxRetries))
	}
	r.statusCodes = slices.Clip(r.statusCodes)
	for code := range strings.SplitSeq(a.codes, ",") {
		if n, ok := Number(code); ok && n < 600 {
			r.statusCodes = append(r.statusCodes, uint32(n))
		}
	}
	for name := range strings.SplitSeq(a.names, ",") {
		if name = strings.ToLower(strings.TrimSpace(name)); name != "" {
			r.names = append(r.names, name)
		}
	}
	return r
}
