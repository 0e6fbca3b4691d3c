package admin

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	adminv3 "github.com/envoyproxy/go-control-plane/envoy/admin/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
)

func (s *server) clusters(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	c := s.o.Clusters()
	if f := q.Get("filter"); f != "" {
		x, err := regex(f)
		if err != nil {
			fail(w, http.StatusBadRequest, "Invalid re2 regex")
			return
		}
		c.ClusterStatuses = slices.DeleteFunc(c.ClusterStatuses, func(c *adminv3.ClusterStatus) bool { return !x.MatchString(c.GetName()) })
	}
	if q.Get("format") == "json" {
		s.reply(w, c, false)
		return
	}
	var b strings.Builder
	for _, c := range c.GetClusterStatuses() {
		writeCluster(&b, c)
	}
	text(w, b.String())
}

// writeCluster writes Envoy's lines of a cluster.
func writeCluster(b *strings.Builder, c *adminv3.ClusterStatus) {
	n := c.GetName()
	fmt.Fprintf(b, "%s::observability_name::%s\n", n, c.GetObservabilityName())
	for _, t := range c.GetCircuitBreakers().GetThresholds() {
		p := strings.ToLower(t.GetPriority().String()) + "_priority"
		fmt.Fprintf(b, "%s::%s::max_connections::%d\n", n, p, t.GetMaxConnections().GetValue())
		fmt.Fprintf(b, "%s::%s::max_pending_requests::%d\n", n, p, t.GetMaxPendingRequests().GetValue())
		fmt.Fprintf(b, "%s::%s::max_requests::%d\n", n, p, t.GetMaxRequests().GetValue())
		fmt.Fprintf(b, "%s::%s::max_retries::%d\n", n, p, t.GetMaxRetries().GetValue())
	}
	fmt.Fprintf(b, "%s::added_via_api::%t\n", n, c.GetAddedViaApi())
	if c.GetEdsServiceName() != "" {
		fmt.Fprintf(b, "%s::eds_service_name::%s\n", n, c.GetEdsServiceName())
	}
	for _, h := range c.GetHostStatuses() {
		a := h.GetAddress().GetSocketAddress()
		host := fmt.Sprintf("%s::%s::", n, address(a))
		stats := slices.Clone(h.GetStats())
		slices.SortFunc(stats, func(a, b *adminv3.SimpleMetric) int { return strings.Compare(a.GetName(), b.GetName()) })
		for _, m := range stats {
			fmt.Fprintf(b, "%s%s::%d\n", host, m.GetName(), m.GetValue())
		}
		l := h.GetLocality()
		for _, x := range []struct {
			name  string
			value any
		}{
			{"hostname", h.GetHostname()}, {"health_flags", healthFlags(h.GetHealthStatus())}, {"weight", h.GetWeight()},
			{"region", l.GetRegion()}, {"zone", l.GetZone()}, {"sub_zone", l.GetSubZone()}, {"canary", false}, {"priority", h.GetPriority()},
			{"success_rate", rate(h.GetSuccessRate() != nil, h.GetSuccessRate().GetValue())},
			{"local_origin_success_rate", rate(h.GetLocalOriginSuccessRate() != nil, h.GetLocalOriginSuccessRate().GetValue())},
		} {
			fmt.Fprintf(b, "%s%s::%v\n", host, x.name, x.value)
		}
	}
}

// rate is -1 as long as there are too few requests to tell.
func rate(known bool, v float64) float64 {
	if !known {
		return -1
	}
	return v
}

// healthFlags names what is wrong with an endpoint.
func healthFlags(h *adminv3.HostHealthStatus) string {
	var flags strings.Builder
	for _, f := range []struct {
		on   bool
		name string
	}{
		{h.GetFailedActiveHealthCheck(), "/failed_active_hc"}, {h.GetFailedOutlierCheck(), "/failed_outlier_check"},
		{h.GetEdsHealthStatus() == corev3.HealthStatus_UNHEALTHY, "/failed_eds_health"},
		{h.GetFailedActiveDegradedCheck(), "/degraded_active_hc"}, {h.GetEdsHealthStatus() == corev3.HealthStatus_DEGRADED, "/degraded_eds_health"},
		{h.GetPendingDynamicRemoval(), "/pending_dynamic_removal"}, {h.GetPendingActiveHc(), "/pending_active_hc"},
		{h.GetExcludedViaImmediateHcFail(), "/excluded_via_immediate_hc_fail"}, {h.GetActiveHcTimeout(), "/active_hc_timeout"},
		{h.GetEdsHealthStatus() == corev3.HealthStatus_DRAINING, "/eds_status_draining"},
		{h.GetFailedDegradedOutlierDetection(), "/degraded_outlier_detection"},
	} {
		if f.on {
			flags.WriteString(f.name)
		}
	}
	if flags.Len() == 0 {
		return "healthy"
	}
	return flags.String()
}

func address(a *corev3.SocketAddress) string {
	host := a.GetAddress()
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return fmt.Sprintf("%s:%d", host, a.GetPortValue())
}

func (s *server) listeners(w http.ResponseWriter, r *http.Request) {
	l := s.o.Listeners()
	if r.URL.Query().Get("format") == "json" {
		s.reply(w, l, false)
		return
	}
	var b strings.Builder
	for _, l := range l.GetListenerStatuses() {
		fmt.Fprintf(&b, "%s::%s\n", l.GetName(), address(l.GetLocalAddress().GetSocketAddress()))
	}
	text(w, b.String())
}
