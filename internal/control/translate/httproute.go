package translate

import (
	"fmt"
	"regexp"
	"sort"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/code"
	networkingapi "istio.io/api/networking/v1alpha3"

	"github.com/usher-mesh/usher/internal/control/api/admission"
	"github.com/usher-mesh/usher/internal/mesh"
)

func (v *virtualService) route(in *networkingapi.HTTPRoute, n *names, path string) mesh.HTTPRoute {
	r := mesh.HTTPRoute{
		Name: in.Name, RewritePath: in.GetRewrite().GetUri(), RewriteHost: in.GetRewrite().GetAuthority(),
		Timeout: in.GetTimeout().AsDuration(), Headers: headerChanges(in.Headers), Fault: v.fault(in.GetFault(), path+".fault"),
	}
	for i, m := range in.Match {
		r.Matches = append(r.Matches, v.match(m, fmt.Sprintf("%s.match[%d]", path, i)))
	}
	for i, d := range in.Route {
		r.Destinations = append(r.Destinations, v.destination(d, n, fmt.Sprintf("%s.route[%d]", path, i)))
	}
	r.Mirrors = v.mirrors(in, n, path)
	if len(r.Destinations) == 1 && r.Destinations[0].Weight == 0 {
		r.Destinations[0].Weight = 1
	}
	if in.Retries != nil {
		on, statuses, unknown := admission.RetryOn(in.Retries.RetryOn)
		for _, u := range unknown { // of an object that was stored before they were refused
			v.verdict.warn("%s.retries.retryOn: %q is no condition, and is left out", path, u)
		}
		r.Retries = &mesh.Retries{
			Attempts: uint32(max(in.Retries.Attempts, 0)), On: strings.Join(on, ","), Statuses: statuses,
			PerTryTimeout: in.Retries.GetPerTryTimeout().AsDuration(),
		}
	}
	if d := in.Redirect; d != nil {
		r.Redirect = &mesh.Redirect{
			Path: d.Uri, Host: d.Authority, Scheme: d.Scheme, Code: d.RedirectCode, Port: uint16(d.GetPort()),
		}
	}
	if d := in.DirectResponse; d != nil {
		r.Direct = &mesh.DirectResponse{Status: d.Status, Body: d.GetBody().GetString_()}
	}
	if len(r.Destinations) == 0 && r.Redirect == nil && r.Direct == nil {
		v.verdict.refuse(reasonInvalid, "%s: one of route, redirect, directResponse must be given", path)
	}
	return r
}

// mirrors: all requests unless a percentage says otherwise, and none at 0. The older
// mirror counts where there is one.
func (v *virtualService) mirrors(in *networkingapi.HTTPRoute, n *names, path string) (out []mesh.Mirror) {
	add := func(d *networkingapi.Destination, share float64, path string) {
		if share < 0 || share > 100 {
			v.verdict.refuse(reasonInvalid, "%s: the percentage is not from 0 to 100", path)
		}
		if share > 0 {
			out = append(out, mesh.Mirror{Destination: v.destination(&networkingapi.HTTPRouteDestination{Destination: d}, n, path), Share: share})
		}
	}
	if m := in.GetMirror(); m != nil {
		share := 100.0
		//lint:ignore SA1019 Istio still reads the field that it has deprecated.
		old := in.GetMirrorPercent()
		switch {
		case in.GetMirrorPercentage() != nil:
			share = in.GetMirrorPercentage().GetValue()
		case old != nil:
			share = float64(old.GetValue())
		}
		add(m, share, path+".mirror")
		return out
	}
	for i, m := range in.GetMirrors() {
		share := 100.0
		if m.GetPercentage() != nil {
			share = m.GetPercentage().GetValue()
		}
		add(m.GetDestination(), share, fmt.Sprintf("%s.mirrors[%d]", path, i))
	}
	return out
}

// fault: without a percentage nothing is hit.
func (v *virtualService) fault(in *networkingapi.HTTPFaultInjection, path string) *mesh.Fault {
	if in == nil {
		return nil
	}
	f := &mesh.Fault{Delay: in.GetDelay().GetFixedDelay().AsDuration(), DelayShare: in.GetDelay().GetPercentage().GetValue(), AbortShare: in.GetAbort().GetPercentage().GetValue()}
	if in.GetDelay().GetPercentage() == nil {
		//lint:ignore SA1019 Istio still reads the field that it has deprecated.
		f.DelayShare = float64(in.GetDelay().GetPercent())
	}
	if in.GetDelay() != nil && f.Delay < time.Millisecond {
		v.verdict.refuse(reasonInvalid, "%s.delay.fixedDelay: must be 1ms at least", path)
	}
	switch t := in.GetAbort().GetErrorType().(type) {
	case *networkingapi.HTTPFaultInjection_Abort_HttpStatus:
		if t.HttpStatus < 200 || t.HttpStatus > 599 {
			v.verdict.refuse(reasonInvalid, "%s.abort.httpStatus: %d is not from 200 to 599", path, t.HttpStatus)
		}
		n := uint32(t.HttpStatus)
		f.AbortHTTP = &n
	case *networkingapi.HTTPFaultInjection_Abort_GrpcStatus:
		n, ok := code.Code_value[t.GrpcStatus]
		if !ok {
			v.verdict.refuse(reasonInvalid, "%s.abort.grpcStatus: %q is no gRPC status", path, t.GrpcStatus)
		}
		c := uint32(n)
		f.AbortGRPC = &c
	default:
		if in.GetAbort() != nil {
			v.verdict.refuse(reasonUnsupported, "%s.abort: httpStatus or grpcStatus must be given", path)
		}
	}
	for _, share := range []float64{f.DelayShare, f.AbortShare} {
		if !(share >= 0 && share <= 100) {
			v.verdict.refuse(reasonInvalid, "%s: a percentage must be from 0 to 100", path)
		}
	}
	return f
}

func (v *virtualService) destination(in *networkingapi.HTTPRouteDestination, n *names, path string) mesh.Destination {
	d := in.GetDestination()
	if d.GetHost() == "" {
		v.verdict.refuse(reasonInvalid, "%s.destination.host: must be given", path)
	}
	return mesh.Destination{
		Host: n.resolve(d.GetHost(), v.Namespace), Subset: d.GetSubset(), Port: uint16(d.GetPort().GetNumber()),
		Weight: uint32(max(in.GetWeight(), 0)), Headers: headerChanges(in.GetHeaders()),
	}
}

func (v *virtualService) match(in *networkingapi.HTTPMatchRequest, path string) mesh.HTTPMatch {
	m := mesh.HTTPMatch{
		SourceLabels: in.GetSourceLabels(), SourceNS: in.GetSourceNamespace(), Port: uint16(in.GetPort()),
		IgnorePathCase: in.GetIgnoreUriCase(),
		Path:           v.text(in.GetUri(), path+".uri"),
		Method:         v.text(in.GetMethod(), path+".method"),
		Authority:      v.text(in.GetAuthority(), path+".authority"),
		Scheme:         v.text(in.GetScheme(), path+".scheme"),
	}
	var inMesh bool
	m.Gateways, inMesh = gatewayNames(in.GetGateways(), v.Namespace)
	if inMesh {
		m.Gateways = append(m.Gateways, meshGateway)
	}
	m.Headers = append(v.headers(in.GetHeaders(), path+".headers", false), v.headers(in.GetWithoutHeaders(), path+".withoutHeaders", true)...)
	m.Query = v.headers(in.GetQueryParams(), path+".queryParams", false)
	return m
}

func (v *virtualService) headers(in map[string]*networkingapi.StringMatch, path string, invert bool) []mesh.HeaderMatch {
	var out []mesh.HeaderMatch
	for name, sm := range in {
		h := mesh.HeaderMatch{Name: name, Invert: invert, Match: mesh.StringMatch{Kind: mesh.Present}}
		if strings.HasPrefix(name, "@request.auth.") {
			v.verdict.refuse(reasonUnsupported, "%s: matches on claims (%s) are not supported yet", path, name)
		}
		if t := v.text(sm, path+"["+name+"]"); t != nil {
			h.Match = *t
		}
		out = append(out, h)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Name < out[j].Name })
	return out
}

// text gives nil for a match that says nothing.
func (v *virtualService) text(in *networkingapi.StringMatch, path string) *mesh.StringMatch {
	switch m := in.GetMatchType().(type) {
	case *networkingapi.StringMatch_Exact:
		return &mesh.StringMatch{Kind: mesh.Exact, Value: m.Exact}
	case *networkingapi.StringMatch_Prefix:
		return &mesh.StringMatch{Kind: mesh.Prefix, Value: m.Prefix}
	case *networkingapi.StringMatch_Regex:
		if _, err := regexp.Compile(m.Regex); err != nil {
			v.verdict.refuse(reasonInvalid, "%s.regex: %v", path, err)
		}
		return &mesh.StringMatch{Kind: mesh.Regex, Value: m.Regex}
	}
	return nil
}

func headerChanges(in *networkingapi.Headers) mesh.HeaderChanges {
	return mesh.HeaderChanges{
		RequestSet: headerList(in.GetRequest().GetSet()), RequestAdd: headerList(in.GetRequest().GetAdd()),
		RequestRemove: in.GetRequest().GetRemove(),
		ResponseSet:   headerList(in.GetResponse().GetSet()), ResponseAdd: headerList(in.GetResponse().GetAdd()),
		ResponseRemove: in.GetResponse().GetRemove(),
	}
}

func headerList(in map[string]string) []mesh.Header {
	var out []mesh.Header
	for _, k := range sortedKeys(in) {
		out = append(out, mesh.Header{Name: k, Value: in[k]})
	}
	return out
}
