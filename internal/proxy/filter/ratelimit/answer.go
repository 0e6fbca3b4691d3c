package ratelimit

import (
	"errors"
	"strconv"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	rlsv3 "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/filter"
	"github.com/usher-mesh/usher/internal/proxy/http1"
)

// answer is what a server says.
type answer struct {
	over              bool
	body              string
	request, response []exchange.Field // to be added
	metadata          filter.Metadata
	retryAfter        int64 // seconds; 0: nothing is said
}

// errInvalid is an answer that says nothing, or what no server may. It is as none.
var errInvalid = errors.New("the rate limit server's answer is invalid")

// maxBody bounds what a server says to a client.
const maxBody = 64 << 10

// read reads an answer: all of it is valid, or it counts as none.
func (f *Filter) read(rs *rlsv3.RateLimitResponse) (*answer, error) {
	a := &answer{body: string(rs.GetRawBody())}
	switch rs.GetOverallCode() {
	case rlsv3.RateLimitResponse_OK:
	case rlsv3.RateLimitResponse_OVER_LIMIT:
		a.over = true
	default:
		return nil, errInvalid
	}
	if len(a.body) > maxBody {
		return nil, errInvalid
	}
	var err error
	if a.metadata, err = filter.CompileMetadata(rs.GetDynamicMetadata()); err != nil {
		return nil, errInvalid
	}
	if a.request, err = fields(rs.GetRequestHeadersToAdd()); err != nil {
		return nil, err
	}
	if a.response, err = fields(rs.GetResponseHeadersToAdd()); err != nil {
		return nil, err
	}
	if a.over && !f.unmarked {
		a.response = append(a.response, exchange.Field{Name: "x-envoy-ratelimited", Value: "true"})
	}
	if f.headers {
		a.response = append(a.response, headers(rs.GetStatuses())...)
	}
	for _, s := range rs.GetStatuses() {
		if s.GetCode() == rlsv3.RateLimitResponse_OVER_LIMIT {
			a.retryAfter = max(a.retryAfter, s.GetDurationUntilReset().GetSeconds(), 1)
		}
	}
	return a, nil
}

func (a *answer) retryText() string { return strconv.FormatInt(a.retryAfter, 10) }

func fields(list []*corev3.HeaderValue) (out []exchange.Field, err error) {
	for _, h := range list {
		e := exchange.Field{Name: strings.ToLower(h.GetKey()), Value: h.GetValue()}
		if raw := h.GetRawValue(); len(raw) > 0 {
			e.Value = string(raw)
		}
		if !http1.Settable(e.Name) || !http1.ValidValue(e.Value) {
			return nil, errInvalid
		}
		out = append(out, e)
	}
	return out, nil
}

// windows are the seconds of a limit's units.
var windows = map[rlsv3.RateLimitResponse_RateLimit_Unit]uint64{
	rlsv3.RateLimitResponse_RateLimit_SECOND: 1, rlsv3.RateLimitResponse_RateLimit_MINUTE: 60, rlsv3.RateLimitResponse_RateLimit_HOUR: 60 * 60,
	rlsv3.RateLimitResponse_RateLimit_DAY: 24 * 60 * 60, rlsv3.RateLimitResponse_RateLimit_WEEK: 7 * 24 * 60 * 60,
	rlsv3.RateLimitResponse_RateLimit_MONTH: 30 * 24 * 60 * 60, rlsv3.RateLimitResponse_RateLimit_YEAR: 365 * 24 * 60 * 60,
}

// headers tell of the limit that is nearest to its end, and of all that there are.
func headers(list []*rlsv3.RateLimitResponse_DescriptorStatus) []exchange.Field {
	var least *rlsv3.RateLimitResponse_DescriptorStatus
	var policies strings.Builder
	for _, s := range list {
		l := s.GetCurrentLimit()
		if l == nil {
			continue
		}
		if least == nil || s.GetLimitRemaining() < least.GetLimitRemaining() {
			least = s
		}
		window := windows[l.GetUnit()]
		if n := l.GetUnitMultiplier(); n != nil {
			window *= uint64(n.GetValue())
		}
		if window == 0 {
			continue
		}
		policies.WriteString(", " + strconv.FormatUint(uint64(l.GetRequestsPerUnit()), 10) + ";w=" + strconv.FormatUint(window, 10))
		if n := l.GetName(); http1.ValidValue(n) && n != "" && !strings.ContainsAny(n, `"\`) {
			policies.WriteString(`;name="` + n + `"`)
		}
	}
	if least == nil {
		return nil
	}
	return []exchange.Field{
		{Name: "x-ratelimit-limit", Value: strconv.FormatUint(uint64(least.GetCurrentLimit().GetRequestsPerUnit()), 10) + policies.String()},
		{Name: "x-ratelimit-remaining", Value: strconv.FormatUint(uint64(least.GetLimitRemaining()), 10)},
		{Name: "x-ratelimit-reset", Value: strconv.FormatInt(least.GetDurationUntilReset().GetSeconds(), 10)},
	}
}
