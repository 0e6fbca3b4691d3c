package route

import (
	"strconv"
	"strings"
	"time"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/http1"
	"github.com/usher-mesh/usher/internal/proxy/strict"
)

// reset names a field of answers that says when another try may be let in: after so many
// seconds, or from that second of Unix' time on.
type reset struct {
	name string
	unix bool
}

// After gives how long an answer asks to be left alone before another try: what the first
// of the fields says that is there and within the bound. 0: nothing.
func (r *Retry) After(h *exchange.Header, now time.Time) time.Duration {
	for _, f := range r.resets {
		text, ok := h.Lookup(f.name)
		if !ok {
			continue
		}
		n, ok := Number(text)
		if f.unix {
			was := uint64(max(now.Unix(), 0))
			ok = ok && n >= was
			n -= was
		}
		if ok && n <= uint64(r.resetMost/time.Second) {
			return time.Duration(n) * time.Second
		}
	}
	return 0
}

// Number reads an unsigned number as Envoy does.
func Number(s string) (uint64, bool) {
	n, err := strconv.ParseUint(strings.TrimPrefix(strings.Trim(s, " \t"), "+"), 10, 64)
	return n, err == nil
}

// duration reads a time that may not be negative, in Envoy's milliseconds.
func duration(name string, d *durationpb.Duration) (time.Duration, error) {
	if d == nil {
		return 0, nil
	}
	if d.CheckValid() != nil || d.AsDuration() < 0 {
		return 0, strict.Errorf(name, "not a duration from 0 on")
	}
	return d.AsDuration().Truncate(time.Millisecond), nil
}

// interval is duration for times that are at least a millisecond, 0 if it is not set.
func interval(name string, d *durationpb.Duration) (time.Duration, error) {
	if d == nil {
		return 0, nil
	}
	if v, err := duration(name, d); err != nil || v > 0 {
		return v, err
	}
	if d.AsDuration() == 0 {
		return 0, strict.Errorf(name, "must be above 0")
	}
	return time.Millisecond, nil
}

func (r *Retry) times(p *routev3.RetryPolicy) (err error) {
	if r.PerTry, err = duration("per_try_timeout", p.GetPerTryTimeout()); err == nil {
		r.TryIdle, err = duration("per_try_idle_timeout", p.GetPerTryIdleTimeout())
	}
	return err
}

func (r *Retry) backOff(p *routev3.RetryPolicy) error {
	b := p.GetRetryBackOff()
	if b == nil {
		return nil
	}
	if b.GetBaseInterval() == nil {
		return strict.Errorf("retry_back_off.base_interval", "missing")
	}
	var err error
	if r.Base, err = interval("base_interval", b.GetBaseInterval()); err != nil {
		return strict.At("retry_back_off", err)
	}
	if r.Max, err = interval("max_interval", b.GetMaxInterval()); err != nil {
		return strict.At("retry_back_off", err)
	}
	switch {
	case r.Max == 0:
		r.Max = 10 * r.Base
	case r.Max < r.Base:
		return strict.Errorf("retry_back_off.max_interval", "below base_interval")
	}
	return nil
}

func (r *Retry) rateLimitedBackOff(p *routev3.RetryPolicy) (err error) {
	b := p.GetRateLimitedRetryBackOff()
	if b == nil {
		return nil
	}
	if r.resetMost, err = interval("max_interval", b.GetMaxInterval()); err != nil {
		return strict.At("rate_limited_retry_back_off", err)
	}
	if r.resetMost == 0 {
		r.resetMost = 5 * time.Minute
	}
	if len(b.GetResetHeaders()) == 0 {
		return strict.Errorf("rate_limited_retry_back_off.reset_headers", "empty")
	}
	for i, h := range b.GetResetHeaders() {
		f := reset{strings.ToLower(h.GetName()), h.GetFormat() == routev3.RetryPolicy_UNIX_TIMESTAMP}
		if !http1.ValidName(f.name) || !f.unix && h.GetFormat() != routev3.RetryPolicy_SECONDS {
			return strict.At("rate_limited_retry_back_off", strict.AtIndex("reset_headers", i, strict.Errorf("", "no name of a field, or an unknown format")))
		}
		r.resets = append(r.resets, f)
	}
	return nil
}
