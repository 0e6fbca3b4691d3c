package upstream

import "strings"

// Status is what Envoy's /clusters tells of a cluster's endpoints and outliers.
type Status struct {
	Endpoints []EndpointStatus
	// What the last sweep compared success rates with, in percent; -1: nothing. Local is
	// for connections, the other for answers.
	Average, Ejects, LocalAverage, LocalEjects float64
	// Detects tells whether the cluster has outlier detection.
	Detects bool
}

// EndpointStatus is one endpoint, in the order of its assignment.
type EndpointStatus struct {
	Host *Host
	// Health is "healthy", or Envoy's names of what is wrong, such as
	// "/failed_outlier_check".
	Health                string
	Weight, Priority      uint32
	Region, Zone, SubZone string
	// Active counts requests.
	Active int64
	// SuccessRate is that of answers in the last interval, LocalSuccessRate that of
	// connections, in percent; -1: unknown.
	SuccessRate, LocalSuccessRate float64
}

// Status gives the state of the endpoints.
func (c *Cluster) Status() Status {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := Status{Average: -1, Ejects: -1, LocalAverage: -1, LocalEjects: -1}
	if d := c.outlier; d != nil {
		out.Detects = true
		out.Average, out.Ejects = d.external.average, d.external.ejects
		out.LocalAverage, out.LocalEjects = d.internal.average, d.internal.ejects
	}
	s := c.hosts.Load()
	if s == nil {
		return out
	}
	for i, h := range s.all {
		m := member{&s.assignment.endpoints[i], h}
		e := EndpointStatus{Host: h, Health: m.healthText(), Weight: m.weight, Priority: m.priority, Active: h.active.Load(), SuccessRate: -1, LocalSuccessRate: -1}
		if place := strings.Split(m.locality.name, "\x00"); len(place) == 3 {
			e.Region, e.Zone, e.SubZone = place[0], place[1], place[2]
		}
		if h.monitor != nil {
			e.SuccessRate, e.LocalSuccessRate = h.monitor.answers.shown, h.monitor.connects.shown
		}
		out.Endpoints = append(out.Endpoints, e)
	}
	return out
}
