package route

//lint:file-ignore SA1019 Envoy still reads the fields that it has deprecated, and control planes send them.

import (
	"sort"
	"strings"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/usher-mesh/usher/internal/proxy/descriptor"
	"github.com/usher-mesh/usher/internal/proxy/filter"
	"github.com/usher-mesh/usher/internal/proxy/http1"
	"github.com/usher-mesh/usher/internal/proxy/match"
	"github.com/usher-mesh/usher/internal/proxy/strict"
)

// compiler compiles one RouteConfiguration.
type compiler struct {
	factories  []filter.Factory
	table      *Table
	top        *mutations
	topMost    bool // most_specific_header_mutations_wins
	filters    perFilter
	mirrors    []Mirror
	directBody int // bytes of a direct response at most
}

// perFilter is a compiled typed_per_filter_config.
type perFilter struct {
	configs  map[string]any
	disabled map[string]bool
}

// Compile makes a table of Envoy's message. Factories give the filters' settings
// for a route. An error names the field.
func Compile(m *routev3.RouteConfiguration, factories []filter.Factory) (*Table, error) {
	if err := strict.Only(m, "name", "virtual_hosts", "response_headers_to_add", "response_headers_to_remove", "request_headers_to_add",
		"request_headers_to_remove", "most_specific_header_mutations_wins", "validate_clusters", "max_direct_response_body_size_bytes",
		"ignore_port_in_host_matching", "typed_per_filter_config", "metadata", "request_mirror_policies"); err != nil {
		return nil, err
	}
	c := &compiler{factories: factories, topMost: m.GetMostSpecificHeaderMutationsWins(),
		directBody: defaultDirectBody, table: &Table{Name: m.GetName(), ignorePort: m.GetIgnorePortInHostMatching()}}
	if n := m.GetMaxDirectResponseBodySizeBytes(); n != nil {
		c.directBody = min(int(n.GetValue()), maxDirectBody)
	}
	var err error
	if c.top, err = compileMutations(m); err != nil {
		return nil, err
	}
	if c.filters, err = c.perFilter(m.GetTypedPerFilterConfig(), perFilter{}); err != nil {
		return nil, err
	}
	if c.mirrors, err = compileMirrors(m.GetRequestMirrorPolicies()); err != nil {
		return nil, err
	}
	for i, v := range m.GetVirtualHosts() {
		if err := c.virtualHost(v); err != nil {
			return nil, strict.AtIndex("virtual_hosts", i, err)
		}
	}
	c.table.seal()
	return c.table, nil
}

func (c *compiler) virtualHost(m *routev3.VirtualHost) error {
	if err := strict.Only(m, "name", "domains", "routes", "request_headers_to_add", "request_headers_to_remove", "response_headers_to_add",
		"response_headers_to_remove", "typed_per_filter_config", "include_request_attempt_count", "include_attempt_count_in_response", "retry_policy", "metadata", "require_tls",
		"request_mirror_policies", "rate_limits"); err != nil {
		return err
	}
	v := &VirtualHost{Name: m.GetName(), metadata: m.GetMetadata(), attempts: m.GetIncludeRequestAttemptCount(), attemptsAnswer: m.GetIncludeAttemptCountInResponse()}
	if err := v.requireTLS(m.GetRequireTls()); err != nil {
		return err
	}
	if len(m.GetDomains()) == 0 {
		return strict.Errorf("domains", "empty")
	}
	muts, err := compileMutations(m)
	if err != nil {
		return err
	}
	filters, err := c.perFilter(m.GetTypedPerFilterConfig(), c.filters)
	if err != nil {
		return err
	}
	if v.retry, err = compileRetry(m.GetRetryPolicy()); err != nil {
		return strict.At("retry_policy", err)
	}
	if v.mirrors = c.mirrors; len(m.GetRequestMirrorPolicies()) > 0 {
		if v.mirrors, err = compileMirrors(m.GetRequestMirrorPolicies()); err != nil {
			return err
		}
	}
	limits, err := descriptor.CompileAll(m.GetRateLimits(), descriptor.InRoute)
	if err != nil {
		return strict.At("rate_limits", err)
	}
	for i, r := range m.GetRoutes() {
		compiled, err := c.route(r, v, muts, filters)
		if err != nil {
			return strict.AtIndex("routes", i, err)
		}
		compiled.limits.Host = limits
		v.routes = append(v.routes, compiled)
	}
	v.seal()
	for i, d := range m.GetDomains() {
		if d == "" || strings.Contains(strings.Trim(d, "*"), "*") || strings.HasPrefix(d, "*") && strings.HasSuffix(d, "*") && d != "*" {
			return strict.AtIndex("domains", i, strict.Errorf("", "%q is not a domain", d))
		}
		if !c.table.addDomain(d, v) {
			return strict.AtIndex("domains", i, strict.Errorf("", "%q is there already", d))
		}
	}
	return nil
}

func (c *compiler) route(m *routev3.Route, v *VirtualHost, vm *mutations, vf perFilter) (*Route, error) {
	if err := strict.Only(m, "name", "match", "route", "redirect", "direct_response", "metadata", "decorator", "typed_per_filter_config",
		"request_headers_to_add", "request_headers_to_remove", "response_headers_to_add", "response_headers_to_remove", "stat_prefix", "tracing"); err != nil {
		return nil, err
	}
	r := &Route{Name: m.GetName(), metadata: m.GetMetadata()}
	if d := m.GetDecorator(); d != nil {
		if err := strict.Only(d, "operation", "propagate"); err != nil {
			return nil, strict.At("decorator", err)
		}
		if r.Operation = d.GetOperation(); !http1.ValidValue(r.Operation) || r.Operation == "" {
			return nil, strict.Errorf("decorator.operation", "empty, or not the value of a field")
		}
		r.Propagate = d.GetPropagate() == nil || d.GetPropagate().GetValue()
	}
	var err error
	if r.Tracing, err = compileTracing(m.GetTracing()); err != nil {
		return nil, strict.At("tracing", err)
	}
	if err := r.match(m.GetMatch()); err != nil {
		return nil, strict.At("match", err)
	}
	own, err := compileMutations(m)
	if err != nil {
		return nil, err
	}
	r.mutations = c.order(own, vm)
	filters, err := c.perFilter(m.GetTypedPerFilterConfig(), vf)
	if err != nil {
		return nil, err
	}
	r.filters, r.disabled = filters.configs, filters.disabled
	switch a := m.GetAction().(type) {
	case *routev3.Route_Route:
		if r.Forward, err = compileForward(a.Route, &r.path, v); err == nil {
			r.limits.Own, err = descriptor.CompileAll(a.Route.GetRateLimits(), descriptor.InRoute)
			err = strict.At("rate_limits", err)
		}
		r.limits.Include = a.Route.GetIncludeVhRateLimits().GetValue()
		err = strict.At("route", err)
	case *routev3.Route_Redirect:
		r.Redirect, err = compileRedirect(a.Redirect)
		err = strict.At("redirect", err)
	case *routev3.Route_DirectResponse:
		r.Direct, err = compileDirect(a.DirectResponse, c.directBody)
		err = strict.At("direct_response", err)
	default:
		err = strict.Errorf("action", "missing")
	}
	return r, err
}

// order gives the levels' mutations in the order in which they are applied.
func (c *compiler) order(route, host *mutations) (out []*mutations) {
	levels := []*mutations{route, host, c.top}
	if c.topMost {
		levels = []*mutations{c.top, host, route}
	}
	for _, m := range levels {
		if m != nil {
			out = append(out, m)
		}
	}
	return out
}

func (r *Route) match(m *routev3.RouteMatch) (err error) {
	if err = strict.Only(m, "prefix", "path", "safe_regex", "path_separated_prefix", "path_match_policy", "connect_matcher", "case_sensitive",
		"headers", "query_parameters", "cookies", "grpc", "tls_context", "dynamic_metadata", "filter_state", "runtime_fraction"); err != nil {
		return err
	}
	if r.path, err = compilePath(m); err != nil {
		return err
	}
	if r.conditions, err = compileConditions(m); err != nil {
		return err
	}
	r.fraction = match.Everything
	if f := m.GetRuntimeFraction(); f != nil {
		if r.fraction, err = match.CompileRuntimeFraction(f); err != nil {
			return strict.At("runtime_fraction", err)
		}
	}
	for i, h := range m.GetHeaders() {
		c, err := match.CompileHeader(h)
		if err != nil {
			return strict.AtIndex("headers", i, err)
		}
		r.headers = append(r.headers, c)
	}
	for i, q := range m.GetQueryParameters() {
		c, err := match.CompileQuery(q)
		if err != nil {
			return strict.AtIndex("query_parameters", i, err)
		}
		r.query = append(r.query, c)
	}
	return nil
}

// perFilter compiles settings for filters by their names over those of the level
// above. Which factory understands a setting is told by its package.
func (c *compiler) perFilter(m map[string]*anypb.Any, above perFilter) (perFilter, error) {
	if len(m) == 0 {
		return above, nil
	}
	out := perFilter{configs: map[string]any{}, disabled: map[string]bool{}}
	for k, v := range above.configs {
		out.configs[k] = v
	}
	for k, v := range above.disabled {
		out.disabled[k] = v
	}
	names := make([]string, 0, len(m))
	for k := range m {
		names = append(names, k)
	}
	sort.Strings(names)
	for _, name := range names {
		if err := c.oneFilter(&out, name, m[name]); err != nil {
			return above, strict.At("typed_per_filter_config["+name+"]", err)
		}
	}
	return out, nil
}

func (c *compiler) oneFilter(out *perFilter, name string, any *anypb.Any) error {
	delete(out.disabled, name)
	if any.MessageIs((*routev3.FilterConfig)(nil)) {
		f := new(routev3.FilterConfig)
		if err := any.UnmarshalTo(f); err != nil {
			return err
		}
		if err := strict.Only(f, "config", "disabled", "is_optional"); err != nil {
			return err
		}
		if f.GetDisabled() {
			out.disabled[name] = true
			return nil
		}
		if any = f.GetConfig(); any == nil {
			return nil
		}
	}
	for _, f := range c.factories {
		if f.PerRoute != nil && packageOf(f.TypeURL) == packageOf(any.GetTypeUrl()) {
			v, err := f.PerRoute(any)
			if err != nil {
				return err
			}
			if m, ok := v.(filter.Merger); ok {
				v = m.Over(out.configs[name])
			}
			out.configs[name] = v
			return nil
		}
	}
	return strict.Unknown(any)
}

// packageOf cuts the message's name off a type URL.
func packageOf(url string) string {
	url = url[strings.LastIndexByte(url, '/')+1:]
	if i := strings.LastIndexByte(url, '.'); i >= 0 {
		return url[:i]
	}
	return url
}
