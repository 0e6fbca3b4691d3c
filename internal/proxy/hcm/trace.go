package hcm

import (
	"errors"

	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"

	"github.com/usher-mesh/usher/internal/proxy/customtag"
	"github.com/usher-mesh/usher/internal/proxy/route"
	"github.com/usher-mesh/usher/internal/proxy/strict"
	"github.com/usher-mesh/usher/internal/proxy/tracing"
	"github.com/usher-mesh/usher/internal/proxy/upstream"
)

func (m *Manager) traces(c *hcmv3.HttpConnectionManager) (err error) {
	if c.GetTracing() == nil {
		return nil
	}
	if m.o.Clusters == nil {
		return strict.Errorf("tracing", "%w", strict.ErrUnsupported)
	}
	m.tracing, err = tracing.Compile(c.GetTracing(), tracing.Options{Clusters: m.o.Clusters, Outbound: m.o.Outbound, Node: m.o.Node, Counters: m.o.Counters, Log: m.o.Log})
	return strict.At("tracing", err)
}

// trace begins the request's span, once its route is known.
func (s *session) trace() {
	x := s.x
	if s.m.tracing == nil || x.Again || s.span != nil {
		return
	}
	operation, propagate, shares := "", false, s.m.tracing.Shares
	var tags []customtag.Tag
	if r, ok := x.Route.(*route.Route); ok {
		operation, propagate = r.Operation, r.Propagate
		if t := r.Tracing; t != nil {
			shares, tags = tracing.Shares{Client: t.Client, Random: t.Random, Overall: t.Overall}, t.Tags
		}
	}
	id, traced := s.m.tracing.Decide(&x.Request.Header, x.RequestID, shares)
	if id != x.RequestID {
		x.RequestID = id
		x.Request.Header.Set("x-request-id", id)
	}
	if s.span = s.m.tracing.Start(x, traced, operation, propagate, tags); s.span != nil {
		x.Trace = s.span.Trace()
	}
	x.Trace.Forced = traced && tracing.Forced(id)
}

// why a try has no answer.
func why(err error) tracing.Reset {
	var b *broken
	if errors.As(err, &b) {
		return tracing.Reset{Reason: b.reason, Flags: b.flags}
	}
	if err == errClient {
		return tracing.Reset{Flags: "DC"}
	}
	var c *upstream.ConnectError
	if errors.As(err, &c) && c.Timeout {
		return tracing.Reset{Reason: "connection timeout", Flags: "UF"}
	}
	return tracing.Reset{Reason: "remote connection failure", Flags: "UF"}
}

// endTrace ends the request's span.
func (s *session) endTrace() {
	x := s.x
	cluster := x.Cluster
	if r, ok := x.Route.(*route.Route); ok && cluster == "" {
		cluster = r.Cluster(x)
	}
	if s.cluster(cluster) == nil {
		cluster = ""
	}
	s.span.End(x, cluster, max(x.BytesSent, s.w.Content()))
}
