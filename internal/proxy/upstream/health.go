package upstream

import (
	"strings"
	"sync/atomic"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
)

// flags are what was found out about a host, beside what its assignment says. They are
// changed under the cluster's lock, which makes the choice of endpoints anew.
type flags struct{ atomic.Uint32 }

const (
	failedActive    uint32 = 1 << iota // active health checks
	failedOutlier                      // ejected as an outlier
	degradedActive                     // active health checks say so
	degradedOutlier                    // its answers say so
	pendingRemoval                     // it stays only while its active health checks go well
	pendingActive                      // its first active health check is not over
	excluded                           // an answer said that it is not to be asked
	timedOutActive                     // its last active health check took too long
)

func (f *flags) has(any uint32) bool { return f.Load()&any != 0 }
func (f *flags) set(x uint32)        { f.Or(x) }
func (f *flags) clear(x uint32)      { f.And(^x) }

// state is HEALTHY, DEGRADED or UNHEALTHY.
func (m member) state() corev3.HealthStatus {
	switch {
	case m.host.flags.has(failedActive | failedOutlier):
		return corev3.HealthStatus_UNHEALTHY
	case m.health == corev3.HealthStatus_UNKNOWN, m.health == corev3.HealthStatus_HEALTHY:
		if m.host.flags.has(degradedActive | degradedOutlier) {
			return corev3.HealthStatus_DEGRADED
		}
		return corev3.HealthStatus_HEALTHY
	case m.health == corev3.HealthStatus_DEGRADED:
		return corev3.HealthStatus_DEGRADED
	}
	return corev3.HealthStatus_UNHEALTHY
}

// excluded tells whether the endpoint does not count where the health of its priority
// is judged.
func (m member) excluded() bool {
	return m.health == corev3.HealthStatus_DRAINING || m.host.flags.has(pendingActive|excluded)
}

// healthText gives the names that Envoy's /clusters has for the health of an endpoint,
// "healthy" without any.
func (m member) healthText() string {
	var b strings.Builder
	for _, f := range []struct {
		on   bool
		name string
	}{
		{m.host.flags.has(failedActive), "/failed_active_hc"},
		{m.host.flags.has(failedOutlier), "/failed_outlier_check"},
		{m.health == corev3.HealthStatus_UNHEALTHY || m.health == corev3.HealthStatus_TIMEOUT, "/failed_eds_health"},
		{m.host.flags.has(degradedActive), "/degraded_active_hc"},
		{m.health == corev3.HealthStatus_DEGRADED, "/degraded_eds_health"},
		{m.host.flags.has(pendingRemoval), "/pending_dynamic_removal"},
		{m.host.flags.has(pendingActive), "/pending_active_hc"},
		{m.host.flags.has(excluded), "/excluded_via_immediate_hc_fail"},
		{m.host.flags.has(timedOutActive), "/active_hc_timeout"},
		{m.health == corev3.HealthStatus_DRAINING, "/eds_status_draining"},
		{m.host.flags.has(degradedOutlier), "/degraded_outlier_detection"},
	} {
		if f.on {
			b.WriteString(f.name)
		}
	}
	if b.Len() == 0 {
		return "healthy"
	}
	return b.String()
}
