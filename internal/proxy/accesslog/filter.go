package accesslog

import (
	"slices"
	"strings"
	"time"

	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/format"
	"github.com/usher-mesh/usher/internal/proxy/match"
	"github.com/usher-mesh/usher/internal/proxy/strict"
)

// Filter tells whether a request is meant.
type Filter func(x *exchange.Exchange) bool

// maxFilterDepth bounds how deep filters nest.
const maxFilterDepth = 16

// CompileFilter compiles Envoy's AccessLogFilter.
func CompileFilter(m *accesslogv3.AccessLogFilter) (Filter, error) { return compileFilter(m, 0) }

func compileFilter(m *accesslogv3.AccessLogFilter, depth int) (Filter, error) {
	if depth > maxFilterDepth {
		return nil, strict.Errorf("", "nested deeper than %d", maxFilterDepth)
	}
	switch f := m.GetFilterSpecifier().(type) {
	case *accesslogv3.AccessLogFilter_StatusCodeFilter:
		c, err := compileComparison(f.StatusCodeFilter.GetComparison(), func(x *exchange.Exchange) int64 { return int64(x.Response.Status) })
		return c, strict.At("status_code_filter.comparison", err)
	case *accesslogv3.AccessLogFilter_DurationFilter:
		c, err := compileComparison(f.DurationFilter.GetComparison(), milliseconds)
		return c, strict.At("duration_filter.comparison", err)
	case *accesslogv3.AccessLogFilter_NotHealthCheckFilter:
		return func(x *exchange.Exchange) bool { return !x.HealthCheck }, nil
	case *accesslogv3.AccessLogFilter_TraceableFilter: // what is traced for another reason is not meant, as in Envoy
		return func(x *exchange.Exchange) bool { return x.Trace.Forced && !x.HealthCheck }, nil
	case *accesslogv3.AccessLogFilter_RuntimeFilter:
		c, err := compileRuntime(f.RuntimeFilter)
		return c, strict.At("runtime_filter", err)
	case *accesslogv3.AccessLogFilter_AndFilter:
		all, err := compileFilters(f.AndFilter.GetFilters(), depth)
		return func(x *exchange.Exchange) bool {
			return !slices.ContainsFunc(all, func(f Filter) bool { return !f(x) })
		}, strict.At("and_filter", err)
	case *accesslogv3.AccessLogFilter_OrFilter:
		all, err := compileFilters(f.OrFilter.GetFilters(), depth)
		return func(x *exchange.Exchange) bool {
			return slices.ContainsFunc(all, func(f Filter) bool { return f(x) })
		}, strict.At("or_filter", err)
	case *accesslogv3.AccessLogFilter_HeaderFilter:
		h, err := match.CompileHeader(f.HeaderFilter.GetHeader())
		if err != nil {
			return nil, strict.At("header_filter.header", err)
		}
		return h.Match, nil
	case *accesslogv3.AccessLogFilter_ResponseFlagFilter:
		c, err := compileFlags(f.ResponseFlagFilter.GetFlags())
		return c, strict.At("response_flag_filter", err)
	case *accesslogv3.AccessLogFilter_GrpcStatusFilter:
		return grpcFilter(f.GrpcStatusFilter), nil
	case *accesslogv3.AccessLogFilter_MetadataFilter:
		c, err := compileMetadata(f.MetadataFilter)
		return c, strict.At("metadata_filter", err)
	case *accesslogv3.AccessLogFilter_LogTypeFilter:
		var types []string
		for _, t := range f.LogTypeFilter.GetTypes() {
			types = append(types, t.String())
		}
		exclude := f.LogTypeFilter.GetExclude()
		return func(x *exchange.Exchange) bool { return slices.Contains(types, x.LogType) != exclude }, nil
	case nil:
		return nil, strict.Errorf("filter_specifier", "missing")
	}
	return nil, strict.Only(m) // names the field
}

func compileFilters(list []*accesslogv3.AccessLogFilter, depth int) (out []Filter, err error) {
	if len(list) < 2 {
		return nil, strict.Errorf("filters", "less than two")
	}
	for i, m := range list {
		f, err := compileFilter(m, depth+1)
		if err != nil {
			return nil, strict.AtIndex("filters", i, err)
		}
		out = append(out, f)
	}
	return out, nil
}

// compileComparison compares with the default: there is no runtime that could say
// otherwise.
func compileComparison(m *accesslogv3.ComparisonFilter, get func(*exchange.Exchange) int64) (Filter, error) {
	if m.GetValue() == nil {
		return nil, strict.Errorf("value", "missing")
	}
	if m.GetValue().GetRuntimeKey() == "" {
		return nil, strict.Errorf("value.runtime_key", "empty")
	}
	v := int64(m.GetValue().GetDefaultValue())
	switch m.GetOp() {
	case accesslogv3.ComparisonFilter_EQ:
		return func(x *exchange.Exchange) bool { return get(x) == v }, nil
	case accesslogv3.ComparisonFilter_GE:
		return func(x *exchange.Exchange) bool { return get(x) >= v }, nil
	case accesslogv3.ComparisonFilter_LE:
		return func(x *exchange.Exchange) bool { return get(x) <= v }, nil
	case accesslogv3.ComparisonFilter_NE:
		return func(x *exchange.Exchange) bool { return get(x) != v }, nil
	}
	return nil, strict.Errorf("op", "%s: %w", m.GetOp(), strict.ErrUnsupported)
}

// milliseconds is how long a request took, or has taken.
func milliseconds(x *exchange.Exchange) int64 {
	end := x.Ended
	if end.IsZero() {
		end = time.Now()
	}
	return end.Sub(x.Start).Milliseconds()
}

func compileRuntime(m *accesslogv3.RuntimeFilter) (Filter, error) {
	if m.GetRuntimeKey() == "" {
		return nil, strict.Errorf("runtime_key", "empty")
	}
	share, err := match.CompileFraction(m.GetPercentSampled())
	if err != nil {
		return nil, strict.At("percent_sampled", err)
	}
	if m.GetUseIndependentRandomness() {
		return func(*exchange.Exchange) bool { return share.Hit() }, nil
	}
	return func(x *exchange.Exchange) bool { return share.HitBy(x.Random()) }, nil
}

// compileFlags takes requests that have one of the flags, any if there are none.
func compileFlags(flags []string) (Filter, error) {
	for i, f := range flags {
		if !format.ResponseFlag(f) {
			return nil, strict.AtIndex("flags", i, strict.Errorf("", "%q is none", f))
		}
	}
	return func(x *exchange.Exchange) bool {
		all := x.ResponseFlags()
		if len(flags) == 0 {
			return all != ""
		}
		for f := range strings.SplitSeq(all, ",") {
			if slices.Contains(flags, f) {
				return true
			}
		}
		return false
	}, nil
}

// grpcFilter takes what has no status for UNKNOWN, as Envoy does.
func grpcFilter(m *accesslogv3.GrpcStatusFilter) Filter {
	statuses, exclude := m.GetStatuses(), m.GetExclude()
	return func(x *exchange.Exchange) bool {
		s, ok := format.GRPCStatus(x)
		if !ok {
			s = int(accesslogv3.GrpcStatusFilter_UNKNOWN)
		}
		return slices.Contains(statuses, accesslogv3.GrpcStatusFilter_Status(s)) != exclude
	}
}

func compileMetadata(m *accesslogv3.MetadataFilter) (Filter, error) {
	c, err := match.CompileMetadata(m.GetMatcher())
	if err != nil {
		return nil, strict.At("matcher", err)
	}
	absent := m.GetMatchIfKeyNotFound() == nil || m.GetMatchIfKeyNotFound().GetValue()
	return func(x *exchange.Exchange) bool {
		if !c.Present(x) {
			return absent
		}
		return c.Match(x)
	}, nil
}
