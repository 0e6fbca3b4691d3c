package upstream

import (
	"sync/atomic"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/usher-mesh/usher/internal/proxy/strict"
)

// outliers compiles outlier_detection. Its monitors are not supported.
func (c *Cluster) outliers(m *clusterv3.Cluster) error {
	o := m.GetOutlierDetection()
	if o == nil {
		return nil
	}
	if m.GetClusterType() != nil {
		return strict.Errorf("outlier_detection", "of a dynamic_forward_proxy: %w", strict.ErrUnsupported)
	}
	return strict.At("outlier_detection", c.detect(o))
}

func (c *Cluster) detect(o *clusterv3.OutlierDetection) error {
	if err := strict.Only(o, "consecutive_5xx", "interval", "base_ejection_time", "max_ejection_percent", "enforcing_consecutive_5xx",
		"enforcing_success_rate", "success_rate_minimum_hosts", "success_rate_request_volume", "success_rate_stdev_factor",
		"consecutive_gateway_failure", "enforcing_consecutive_gateway_failure", "split_external_local_origin_errors",
		"consecutive_local_origin_failure", "enforcing_consecutive_local_origin_failure", "enforcing_local_origin_success_rate",
		"failure_percentage_threshold", "enforcing_failure_percentage", "enforcing_failure_percentage_local_origin",
		"failure_percentage_minimum_hosts", "failure_percentage_request_volume", "max_ejection_time", "max_ejection_time_jitter",
		"successful_active_health_check_uneject_host", "always_eject_one_host", "detect_degraded_hosts"); err != nil {
		return err
	}
	d := &detector{
		c:            c,
		split:        o.GetSplitExternalLocalOriginErrors(),
		degrades:     o.GetDetectDegradedHosts().GetValue(),
		alwaysOne:    o.GetAlwaysEjectOneHost().GetValue(),
		unejects:     o.GetSuccessfulActiveHealthCheckUnejectHost() == nil || o.GetSuccessfulActiveHealthCheckUnejectHost().GetValue(),
		errors:       or(o.GetConsecutive_5Xx(), 5),
		gateway:      or(o.GetConsecutiveGatewayFailure(), 5),
		local:        or(o.GetConsecutiveLocalOriginFailure(), 5),
		minHosts:     or(o.GetSuccessRateMinimumHosts(), 5),
		minVolume:    or(o.GetSuccessRateRequestVolume(), 100),
		deviations:   float64(or(o.GetSuccessRateStdevFactor(), 1900)) / 1000,
		failMinHosts: or(o.GetFailurePercentageMinimumHosts(), 5), failMinVolume: or(o.GetFailurePercentageRequestVolume(), 50),
		external: threshold{-1, -1}, internal: threshold{-1, -1},
	}
	for _, f := range []struct {
		name      string
		v         *wrapperspb.UInt32Value
		otherwise uint32
		to        *uint32
	}{
		{"max_ejection_percent", o.GetMaxEjectionPercent(), 10, &d.maxPercent},
		{"enforcing_consecutive_5xx", o.GetEnforcingConsecutive_5Xx(), 100, &d.enforcing[consecutive5xx]},
		{"enforcing_success_rate", o.GetEnforcingSuccessRate(), 100, &d.enforcing[successRate]},
		{"enforcing_consecutive_gateway_failure", o.GetEnforcingConsecutiveGatewayFailure(), 0, &d.enforcing[gatewayFailure]},
		{"enforcing_consecutive_local_origin_failure", o.GetEnforcingConsecutiveLocalOriginFailure(), 100, &d.enforcing[localFailure]},
		{"enforcing_local_origin_success_rate", o.GetEnforcingLocalOriginSuccessRate(), 100, &d.enforcing[localSuccessRate]},
		{"failure_percentage_threshold", o.GetFailurePercentageThreshold(), 85, &d.failures},
		{"enforcing_failure_percentage", o.GetEnforcingFailurePercentage(), 0, &d.enforcing[failurePercentage]},
		{"enforcing_failure_percentage_local_origin", o.GetEnforcingFailurePercentageLocalOrigin(), 0, &d.enforcing[localFailurePercentage]},
	} {
		if *f.to = or(f.v, f.otherwise); *f.to > 100 {
			return strict.Errorf(f.name, "above 100")
		}
	}
	var err error
	if d.interval, err = above0("interval", o.GetInterval(), 10*time.Second); err != nil {
		return err
	}
	if d.base, err = above0("base_ejection_time", o.GetBaseEjectionTime(), 30*time.Second); err != nil {
		return err
	}
	if d.most, err = above0("max_ejection_time", o.GetMaxEjectionTime(), max(300*time.Second, d.base)); err != nil {
		return err
	}
	if d.most < d.base {
		return strict.Errorf("max_ejection_time", "below base_ejection_time")
	}
	if d.jitter, err = notNegative("max_ejection_time_jitter", o.GetMaxEjectionTimeJitter(), 0); err != nil {
		return err
	}
	d.count()
	c.outlier = d
	return nil
}

// count makes the counters.
func (d *detector) count() {
	of := func(name string) *atomic.Int64 { return d.c.counter("outlier_detection."+name, false) }
	n := &d.counts
	n.active = d.c.counter("outlier_detection.ejections_active", true)
	n.overflow, n.enforcedTotal, n.degradation = of("ejections_overflow"), of("ejections_enforced_total"), of("ejections_detected_degradation")
	n.total, n.errors, n.rate = of("ejections_total"), of("ejections_consecutive_5xx"), of("ejections_success_rate")
	for i, name := range causeNames {
		n.detected[i], n.enforced[i] = of("ejections_detected_"+name), of("ejections_enforced_"+name)
	}
}

// or gives a value, or another if it is not set.
func or(v *wrapperspb.UInt32Value, otherwise uint32) uint32 {
	if v == nil {
		return otherwise
	}
	return v.GetValue()
}

// maxDuration bounds durations: the sum of two does not overflow.
const maxDuration = 100 * 365 * 24 * time.Hour

// above0 reads a duration, which Envoy counts in milliseconds.
func above0(name string, v *durationpb.Duration, otherwise time.Duration) (time.Duration, error) {
	if v != nil && v.AsDuration() <= 0 {
		return 0, strict.Errorf(name, "must be above 0")
	}
	d, err := notNegative(name, v, otherwise)
	return max(d, time.Millisecond), err
}

func notNegative(name string, v *durationpb.Duration, otherwise time.Duration) (time.Duration, error) {
	if v == nil {
		return otherwise, nil
	}
	if v.CheckValid() != nil || v.AsDuration() < 0 {
		return 0, strict.Errorf(name, "not a duration from 0 on")
	}
	return min(v.AsDuration(), maxDuration).Truncate(time.Millisecond), nil
}
