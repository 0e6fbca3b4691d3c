// Package grpcstats is the filter that counts calls of gRPC and their messages at the
// cluster that they go to, by service and method if the configuration says so. It reads
// the messages' framing alone and holds nothing back. How many methods a client may name is
// bounded where they are counted (upstream.Calls).
package grpcstats

import (
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	grpcstatsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/grpc_stats/v3"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/filter"
	"github.com/usher-mesh/usher/internal/proxy/match"
	"github.com/usher-mesh/usher/internal/proxy/strict"
	"github.com/usher-mesh/usher/internal/proxy/upstream"
)

// TypeURL is that of the configuration.
const TypeURL = "type.googleapis.com/envoy.extensions.filters.http.grpc_stats.v3.FilterConfig"

// Factory makes the filters, which count at the clusters that it is given.
func Factory(clusters func(name string) *upstream.Cluster) filter.Factory {
	return filter.Factory{
		TypeURL: TypeURL,
		New: func(c filter.Config) (filter.Filter, error) {
			m := new(grpcstatsv3.FilterConfig)
			if err := strict.Unpack(c.Typed, m); err != nil {
				return nil, err
			}
			f, err := compile(m)
			if err != nil {
				return nil, err
			}
			f.clusters = clusters
			return f, nil
		},
	}
}

// Filter is one compiled configuration.
type Filter struct {
	clusters    func(name string) *upstream.Cluster
	all         bool // methods are told apart
	listed      map[method]bool
	replaceDots bool
	times, emit bool
}

type method struct{ service, name string }

var _ filter.Encoder = (*Filter)(nil)

func compile(m *grpcstatsv3.FilterConfig) (*Filter, error) {
	if err := strict.Only(m, "emit_filter_state", "individual_method_stats_allowlist", "stats_for_all_methods", "enable_upstream_stats", "replace_dots_in_grpc_service_name"); err != nil {
		return nil, err
	}
	f := &Filter{all: m.GetStatsForAllMethods().GetValue(), replaceDots: m.GetReplaceDotsInGrpcServiceName(), times: m.GetEnableUpstreamStats(), emit: m.GetEmitFilterState()}
	for i, s := range m.GetIndividualMethodStatsAllowlist().GetServices() {
		err := strict.Only(s, "name", "method_names")
		switch {
		case err != nil:
		case s.GetName() == "":
			err = strict.Errorf("name", "empty")
		case len(s.GetMethodNames()) == 0:
			err = strict.Errorf("method_names", "empty")
		}
		if err != nil {
			return nil, strict.At("individual_method_stats_allowlist", strict.AtIndex("services", i, err))
		}
		for _, name := range s.GetMethodNames() {
			if f.listed == nil {
				f.listed = map[method]bool{}
			}
			f.listed[method{s.GetName(), name}] = true
		}
	}
	return f, nil
}

// clusterOf is what is asked of the route.
type clusterOf interface {
	Cluster(*exchange.Exchange) string
}

// call is one request of gRPC.
type call struct {
	exchange.Messages
	counted           *upstream.Call // nil: its messages alone are, for the filter state
	request, response content
	began             atomic.Int64 // when the request was read to its end, in ns since 1970; 0: it is not
}

// Decode begins to count.
func (f *Filter) Decode(x *exchange.Exchange) bool {
	if x.Again || !match.GRPC(x) {
		return true
	}
	to := f.to(x)
	c := f.begin(x)
	if to == nil { // its content goes nowhere
		return true
	}
	c.counted = f.of(x.Request.Path, to)
	src, ok := x.Request.Body.(exchange.Content)
	if !ok {
		c.sent()
		return true
	}
	c.request = content{Content: src, frames: frames{n: &c.Request}}
	if c.counted != nil {
		c.request.frames.total = &c.counted.Requests
	}
	if f.times {
		c.request.end = c.sent
	}
	x.Request.Body = &c.request
	return true
}

func (f *Filter) begin(x *exchange.Exchange) *call {
	c := &call{Messages: exchange.Messages{Shown: f.emit}}
	x.Messages = &c.Messages
	x.Keep(f, c)
	return c
}

// to gives the cluster that the request goes to; nil: none.
func (f *Filter) to(x *exchange.Exchange) *upstream.Cluster {
	if r, ok := x.Route.(clusterOf); ok {
		return f.clusters(r.Cluster(x))
	}
	return nil
}

// of gives where the call is counted; nil: nowhere, since its path names no method.
func (f *Filter) of(path string, to *upstream.Cluster) *upstream.Call {
	service, name, ok := split(path)
	switch {
	case !ok:
		return nil
	case f.all && f.replaceDots:
		return to.Counts.GRPC.Of(strings.ReplaceAll(service, ".", "_"), name)
	case f.all, f.listed[method{service, name}]:
		return to.Counts.GRPC.Of(service, name)
	}
	return to.Counts.GRPC.Rest()
}

// split reads a path of gRPC, "/SERVICE/METHOD". As Envoy does, it takes slashes besides.
func split(path string) (service, name string, ok bool) {
	path, _, _ = strings.Cut(path, "?")
	service, rest, _ := strings.Cut(strings.TrimLeft(path, "/"), "/")
	name, rest, _ = strings.Cut(strings.TrimLeft(rest, "/"), "/")
	return service, name, service != "" && name != "" && strings.Trim(rest, "/") == ""
}

// Encode counts the answer by its status, which stands in its head or in its trailers, and
// its messages: the filter state tells those of any answer of gRPC, as Envoy's does.
func (f *Filter) Encode(x *exchange.Exchange) {
	stream := x.Response.Status == 200 && match.GRPCType(x.Response.Header.Get("content-type"))
	c, _ := x.Kept(f).(*call)
	if c == nil {
		if !stream || !f.emit {
			return
		}
		c = f.begin(x)
	}
	c.count(&x.Response.Header)
	src, ok := x.Response.Body.(exchange.Content)
	if !ok || src.Done() {
		if _, local := x.Local(); !local {
			f.time(c)
		}
		return
	}
	c.response = content{Content: src, frames: frames{n: &c.Response, off: !stream}}
	if c.counted != nil {
		c.response.frames.total = &c.counted.Responses
		c.response.end = func() {
			if x.Response.Trailer.Len() > 0 {
				c.count(&x.Response.Trailer)
				f.time(c)
			}
		}
	}
	x.Response.Body = &c.response
}

// count counts the status if it is there.
func (c *call) count(h *exchange.Header) {
	v, ok := h.Lookup("grpc-status")
	if !ok || c.counted == nil {
		return
	}
	n, err := strconv.ParseUint(v, 10, 8)
	if err != nil || strconv.Itoa(int(n)) != v {
		c.counted.Status.Inc(-1)
		return
	}
	c.counted.Status.Inc(int(n))
}

func (c *call) sent() { c.began.Store(time.Now().UnixNano()) }

// time counts how long the upstream took from the request's end to the answer's.
func (f *Filter) time(c *call) {
	if began := c.began.Load(); f.times && c.counted != nil && began != 0 {
		c.counted.Time.Observe(float64((time.Now().UnixNano() - began) / int64(time.Millisecond)))
	}
}
