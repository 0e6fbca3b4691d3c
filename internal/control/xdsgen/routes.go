package xdsgen

import (
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/usher-mesh/usher/internal/mesh"
)

// where says for whom the rules of a VirtualService are made.
type where struct {
	model   *mesh.Model
	gateway string // "namespace/name", or "mesh"
	port    uint16 // that the request came to; 0 for any
	// namespace and labels are those of the caller's workload, for sidecars.
	namespace string
	labels    map[string]string
}

const meshGateway = "mesh"

// virtualRoutes makes the routes of a VirtualService. Rules that are not for
// this place are left out.
func (w *where) virtualRoutes(v *mesh.VirtualService) []*routev3.Route {
	var out []*routev3.Route
	for i := range v.Routes {
		r := &v.Routes[i]
		if len(r.Matches) == 0 {
			out = append(out, w.route(r, nil))
		}
		for j := range r.Matches {
			if w.concerns(&r.Matches[j]) {
				out = append(out, w.route(r, &r.Matches[j]))
			}
		}
	}
	return out
}

func (w *where) concerns(m *mesh.HTTPMatch) bool {
	if m.Port != 0 && w.port != 0 && m.Port != w.port {
		return false
	}
	if len(m.Gateways) > 0 {
		found := false
		for _, g := range m.Gateways {
			found = found || g == w.gateway
		}
		if !found {
			return false
		}
	}
	if w.gateway != meshGateway {
		return true
	}
	return (m.SourceNS == "" || m.SourceNS == w.namespace) && mesh.Selects(m.SourceLabels, w.labels)
}

func (w *where) route(r *mesh.HTTPRoute, m *mesh.HTTPMatch) *routev3.Route {
	out := &routev3.Route{Name: r.Name, Match: routeMatch(m)}
	if r.Fault != nil {
		out.TypedPerFilterConfig = map[string]*anypb.Any{faultName: pack(fault(r.Fault))}
	}
	out.RequestHeadersToAdd, out.RequestHeadersToRemove = additions(r.Headers.RequestSet, r.Headers.RequestAdd), r.Headers.RequestRemove
	out.ResponseHeadersToAdd, out.ResponseHeadersToRemove = additions(r.Headers.ResponseSet, r.Headers.ResponseAdd), r.Headers.ResponseRemove
	switch {
	case r.Redirect != nil:
		out.Action = &routev3.Route_Redirect{Redirect: redirect(r.Redirect)}
	case r.Direct != nil:
		d := &routev3.DirectResponseAction{Status: r.Direct.Status}
		if r.Direct.Body != "" {
			d.Body = &corev3.DataSource{Specifier: &corev3.DataSource_InlineString{InlineString: r.Direct.Body}}
		}
		out.Action = &routev3.Route_DirectResponse{DirectResponse: d}
	default:
		out.Action = &routev3.Route_Route{Route: w.forward(r, m)}
	}
	return out
}

func (w *where) forward(r *mesh.HTTPRoute, m *mesh.HTTPMatch) *routev3.RouteAction {
	a := &routev3.RouteAction{Timeout: durationpb.New(r.Timeout), RetryPolicy: retryPolicy(r.Retries), HashPolicy: w.hashPolicies(r)}
	if len(r.Destinations) == 1 && plain(&r.Destinations[0].Headers) {
		a.ClusterSpecifier = &routev3.RouteAction_Cluster{Cluster: w.cluster(&r.Destinations[0])}
	} else {
		wc := &routev3.WeightedCluster{}
		for i := range r.Destinations {
			d := &r.Destinations[i]
			if d.Weight == 0 {
				continue
			}
			wc.Clusters = append(wc.Clusters, &routev3.WeightedCluster_ClusterWeight{
				Name: w.cluster(d), Weight: wrapperspb.UInt32(d.Weight),
				RequestHeadersToAdd: additions(d.Headers.RequestSet, d.Headers.RequestAdd), RequestHeadersToRemove: d.Headers.RequestRemove,
				ResponseHeadersToAdd: additions(d.Headers.ResponseSet, d.Headers.ResponseAdd), ResponseHeadersToRemove: d.Headers.ResponseRemove,
			})
		}
		if len(wc.Clusters) == 0 { // nobody has any weight
			a.ClusterSpecifier = &routev3.RouteAction_Cluster{Cluster: blackHole}
		} else {
			a.ClusterSpecifier = &routev3.RouteAction_WeightedClusters{WeightedClusters: wc}
		}
	}
	for i := range r.Mirrors {
		m := &r.Mirrors[i]
		a.RequestMirrorPolicies = append(a.RequestMirrorPolicies, &routev3.RouteAction_RequestMirrorPolicy{
			Cluster: w.cluster(&m.Destination), RuntimeFraction: &corev3.RuntimeFractionalPercent{DefaultValue: percent(m.Share)}, TraceSampled: wrapperspb.Bool(false),
		})
	}
	if r.RewriteHost != "" {
		a.HostRewriteSpecifier = &routev3.RouteAction_HostRewriteLiteral{HostRewriteLiteral: r.RewriteHost}
	}
	rewritePath(a, r.RewritePath, m)
	return a
}

// rewritePath replaces the matched prefix. "/" in the place of "/a" must not make
// "//b" of "/a/b", as Istio has it too.
func rewritePath(a *routev3.RouteAction, to string, m *mesh.HTTPMatch) {
	if to == "" {
		return
	}
	if m != nil && m.Path != nil && m.Path.Kind == mesh.Prefix && to == "/" && !strings.HasSuffix(m.Path.Value, "/") {
		a.RegexRewrite = &matcherv3.RegexMatchAndSubstitute{Pattern: re2("^" + quoted(m.Path.Value) + "(/?)(.*)"), Substitution: `/\2`}
		return
	}
	if m != nil && m.Path != nil && m.Path.Kind == mesh.Regex {
		a.RegexRewrite = &matcherv3.RegexMatchAndSubstitute{Pattern: re2("^[^?]*"), Substitution: strings.ReplaceAll(to, `\`, `\\`)}
		return
	}
	a.PrefixRewrite = to
}

// cluster names the cluster of a destination. One that does not exist is named
// all the same: such requests get 503.
func (w *where) cluster(d *mesh.Destination) string {
	return clusterName(d.Host, w.portOf(d), d.Subset)
}

func (w *where) portOf(d *mesh.Destination) uint16 {
	if d.Port != 0 {
		return d.Port
	}
	if s := w.model.Service(d.Host); s != nil && len(s.Ports) == 1 {
		return s.Ports[0].Port
	}
	return w.port
}

// rules are the origins of the services whose policies are in the routes of a
// VirtualService.
func (w *where) rules(v *mesh.VirtualService) []mesh.Ref {
	var out []mesh.Ref
	for i := range v.Routes {
		for j := range v.Routes[i].Destinations {
			if d := &v.Routes[i].Destinations[j]; w.hashKey(d) != nil {
				out = append(out, w.model.Service(d.Host).Origins...)
			}
		}
	}
	return out
}

func plain(h *mesh.HeaderChanges) bool {
	return len(h.RequestSet)+len(h.RequestAdd)+len(h.RequestRemove)+len(h.ResponseSet)+len(h.ResponseAdd)+len(h.ResponseRemove) == 0
}

func additions(set, add []mesh.Header) []*corev3.HeaderValueOption {
	var out []*corev3.HeaderValueOption
	for _, h := range set {
		out = append(out, &corev3.HeaderValueOption{
			Header:       &corev3.HeaderValue{Key: h.Name, Value: h.Value},
			AppendAction: corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD,
		})
	}
	for _, h := range add {
		out = append(out, &corev3.HeaderValueOption{
			Header:       &corev3.HeaderValue{Key: h.Name, Value: h.Value},
			AppendAction: corev3.HeaderValueOption_APPEND_IF_EXISTS_OR_ADD,
		})
	}
	return out
}

func redirect(r *mesh.Redirect) *routev3.RedirectAction {
	out := &routev3.RedirectAction{HostRedirect: r.Host, PortRedirect: uint32(r.Port)}
	if r.Scheme != "" {
		out.SchemeRewriteSpecifier = &routev3.RedirectAction_SchemeRedirect{SchemeRedirect: r.Scheme}
	}
	if r.Path != "" {
		out.PathRewriteSpecifier = &routev3.RedirectAction_PathRedirect{PathRedirect: r.Path}
	}
	switch r.Code {
	case 302:
		out.ResponseCode = routev3.RedirectAction_FOUND
	case 303:
		out.ResponseCode = routev3.RedirectAction_SEE_OTHER
	case 307:
		out.ResponseCode = routev3.RedirectAction_TEMPORARY_REDIRECT
	case 308:
		out.ResponseCode = routev3.RedirectAction_PERMANENT_REDIRECT
	}
	return out
}

// retryPolicy is Istio's default if nothing is said: two more tries of what never
// reached the service.
func retryPolicy(r *mesh.Retries) *routev3.RetryPolicy {
	const on = "connect-failure,refused-stream,unavailable,cancelled"
	if r == nil {
		return &routev3.RetryPolicy{RetryOn: on, NumRetries: wrapperspb.UInt32(2)}
	}
	if r.Attempts == 0 {
		return nil
	}
	out := &routev3.RetryPolicy{RetryOn: r.On, RetriableStatusCodes: r.Statuses, NumRetries: wrapperspb.UInt32(r.Attempts)}
	if out.RetryOn == "" {
		out.RetryOn = on
	}
	if r.PerTryTimeout > 0 {
		out.PerTryTimeout = durationpb.New(r.PerTryTimeout)
	}
	return out
}

// What a table's own answers may have, in bytes: by default, and as Istio allows.
const (
	defaultAnswer = 4 << 10
	longestAnswer = 1 << 20
)

// longAnswers has a table say so if answers of its own are longer than proxies take by default.
func longAnswers(cfg *routev3.RouteConfiguration) *routev3.RouteConfiguration {
	for _, v := range cfg.GetVirtualHosts() {
		for _, r := range v.GetRoutes() {
			if len(r.GetDirectResponse().GetBody().GetInlineString()) > defaultAnswer {
				cfg.MaxDirectResponseBodySizeBytes = wrapperspb.UInt32(longestAnswer)
			}
		}
	}
	return cfg
}
