package descriptor

import (
	"net/netip"
	"strings"

	xdscorev3 "github.com/cncf/xds/go/xds/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	metadatav3 "github.com/envoyproxy/go-control-plane/envoy/type/metadata/v3"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/usher-mesh/usher/internal/jsondoc"
	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/match"
	"github.com/usher-mesh/usher/internal/proxy/strict"
)

// action makes an entry. False: the request has no descriptor. An entry without a key is
// left out.
type action func(*exchange.Exchange, Node) (Entry, bool)

// required refuses an empty text.
func required(path, value string) error {
	if value == "" {
		return strict.Errorf(path, "empty")
	}
	return nil
}

// Descriptor values are taken as they stand: that Envoy may format them is switched by a
// runtime key which is off, and default_value is of that alone.
func compileAction(m *routev3.RateLimit_Action) (action, error) {
	switch k := m.GetActionSpecifier().(type) {
	case *routev3.RateLimit_Action_SourceCluster_:
		return func(_ *exchange.Exchange, n Node) (Entry, bool) { return Entry{"source_cluster", string(n)}, true }, nil
	case *routev3.RateLimit_Action_DestinationCluster_:
		return destinationCluster, nil
	case *routev3.RateLimit_Action_RequestHeaders_:
		a, err := requestHeaders(k.RequestHeaders)
		return a, strict.At("request_headers", err)
	case *routev3.RateLimit_Action_QueryParameters_:
		a, err := queryParameters(k.QueryParameters)
		return a, strict.At("query_parameters", err)
	case *routev3.RateLimit_Action_RemoteAddress_:
		return func(x *exchange.Exchange, _ Node) (Entry, bool) {
			return Entry{"remote_address", remote(x).String()}, true
		}, nil
	case *routev3.RateLimit_Action_MaskedRemoteAddress_:
		a, err := masked(k.MaskedRemoteAddress)
		return a, strict.At("masked_remote_address", err)
	case *routev3.RateLimit_Action_RemoteAddressMatch_:
		a, err := addressMatch(k.RemoteAddressMatch)
		return a, strict.At("remote_address_match", err)
	case *routev3.RateLimit_Action_GenericKey_:
		a, err := genericKey(k.GenericKey)
		return a, strict.At("generic_key", err)
	case *routev3.RateLimit_Action_HeaderValueMatch_:
		a, err := headerMatch(k.HeaderValueMatch)
		return a, strict.At("header_value_match", err)
	case *routev3.RateLimit_Action_QueryParameterValueMatch_:
		a, err := queryMatch(k.QueryParameterValueMatch)
		return a, strict.At("query_parameter_value_match", err)
	case *routev3.RateLimit_Action_Metadata:
		a, err := metadata(k.Metadata)
		return a, strict.At("metadata", err)
	case *routev3.RateLimit_Action_Extension:
		return nil, strict.Errorf("extension", "%w", strict.ErrUnsupported)
	case nil:
		return nil, strict.Errorf("action_specifier", "missing")
	}
	return nil, strict.Errorf("dynamic_metadata", "%w (metadata says the same)", strict.ErrUnsupported) // nor does Envoy take it any more
}

func destinationCluster(x *exchange.Exchange, _ Node) (Entry, bool) {
	r, ok := x.Route.(Route)
	if !ok {
		return Entry{}, false
	}
	return Entry{"destination_cluster", r.Cluster(x)}, true
}

func requestHeaders(m *routev3.RateLimit_Action_RequestHeaders) (action, error) {
	name, key, skip := strings.ToLower(m.GetHeaderName()), m.GetDescriptorKey(), m.GetSkipIfAbsent()
	if err := required("header_name", name); err != nil {
		return nil, err
	}
	return func(x *exchange.Exchange, _ Node) (Entry, bool) {
		v, ok := match.Pseudo(x, name)
		if !ok {
			v, ok = x.Request.Header.Lookup(name)
		}
		if !ok {
			return Entry{}, skip
		}
		return Entry{key, v}, true
	}, required("descriptor_key", key)
}

func queryParameters(m *routev3.RateLimit_Action_QueryParameters) (action, error) {
	name, key, skip := m.GetQueryParameterName(), m.GetDescriptorKey(), m.GetSkipIfAbsent()
	if err := required("query_parameter_name", name); err != nil {
		return nil, err
	}
	return func(x *exchange.Exchange, _ Node) (Entry, bool) {
		for n, v := range match.Params(x.Request.Path) {
			if n == name {
				return Entry{key, v}, true
			}
		}
		return Entry{}, skip
	}, required("descriptor_key", key)
}

// remote is the address of who connects: that of headers is not believed.
func remote(x *exchange.Exchange) netip.Addr { return x.Remote().Addr().Unmap().WithZone("") }

func masked(m *routev3.RateLimit_Action_MaskedRemoteAddress) (action, error) {
	v4, v6 := uint32(32), uint32(128)
	if n := m.GetV4PrefixMaskLen(); n != nil {
		v4 = n.GetValue()
	}
	if n := m.GetV6PrefixMaskLen(); n != nil {
		v6 = n.GetValue()
	}
	switch {
	case v4 > 32:
		return nil, strict.Errorf("v4_prefix_mask_len", "above 32")
	case v6 > 128:
		return nil, strict.Errorf("v6_prefix_mask_len", "above 128")
	}
	return func(x *exchange.Exchange, _ Node) (Entry, bool) {
		a, bits := remote(x), v6
		if a.Is4() {
			bits = v4
		}
		p, err := a.Prefix(int(bits))
		return Entry{"masked_remote_address", p.String()}, err == nil
	}, nil
}

func addressMatch(m *routev3.RateLimit_Action_RemoteAddressMatch) (action, error) {
	if err := strict.Only(m.GetAddressMatcher(), "ranges", "invert_match"); err != nil {
		return nil, strict.At("address_matcher", err)
	}
	if strings.Contains(m.GetDescriptorValue(), "%") { // of this action alone Envoy formats it always
		return nil, strict.Errorf("descriptor_value", "formatters: %w", strict.ErrUnsupported)
	}
	var ranges []netip.Prefix
	for i, r := range m.GetAddressMatcher().GetRanges() {
		p, err := prefix(r)
		if err != nil {
			return nil, strict.At("address_matcher", strict.AtIndex("ranges", i, err))
		}
		ranges = append(ranges, p)
	}
	if len(ranges) == 0 {
		return nil, strict.Errorf("address_matcher.ranges", "empty")
	}
	e, invert := Entry{or(m.GetDescriptorKey(), "remote_address_match"), or(m.GetDescriptorValue(), m.GetDefaultValue())}, m.GetAddressMatcher().GetInvertMatch()
	return func(x *exchange.Exchange, _ Node) (Entry, bool) {
		within, a := false, remote(x)
		for _, p := range ranges {
			within = within || p.Contains(a)
		}
		return e, within != invert && e.Value != ""
	}, nil
}

func prefix(m *xdscorev3.CidrRange) (netip.Prefix, error) {
	a, err := netip.ParseAddr(m.GetAddressPrefix())
	if err != nil {
		return netip.Prefix{}, strict.Errorf("address_prefix", "%q is no address", m.GetAddressPrefix())
	}
	p, err := a.Unmap().Prefix(int(m.GetPrefixLen().GetValue()))
	return p, strict.At("prefix_len", err)
}

func or(s, def string) string {
	if s == "" {
		return def
	}
	return s
}

func genericKey(m *routev3.RateLimit_Action_GenericKey) (action, error) {
	e := Entry{or(m.GetDescriptorKey(), "generic_key"), m.GetDescriptorValue()}
	return func(*exchange.Exchange, Node) (Entry, bool) { return e, true }, required("descriptor_value", e.Value)
}

func expected(m *wrapperspb.BoolValue) bool { return m == nil || m.GetValue() }

func headerMatch(m *routev3.RateLimit_Action_HeaderValueMatch) (action, error) {
	var all []*match.Header
	for i, h := range m.GetHeaders() {
		c, err := match.CompileHeader(h)
		if err != nil {
			return nil, strict.AtIndex("headers", i, err)
		}
		all = append(all, c)
	}
	if len(all) == 0 {
		return nil, strict.Errorf("headers", "empty")
	}
	e, want := Entry{or(m.GetDescriptorKey(), "header_match"), m.GetDescriptorValue()}, expected(m.GetExpectMatch())
	return func(x *exchange.Exchange, _ Node) (Entry, bool) {
		for _, h := range all {
			if !h.Match(x) {
				return e, !want
			}
		}
		return e, want
	}, required("descriptor_value", e.Value)
}

func queryMatch(m *routev3.RateLimit_Action_QueryParameterValueMatch) (action, error) {
	var all []*match.Query
	for i, q := range m.GetQueryParameters() {
		c, err := match.CompileQuery(q)
		if err != nil {
			return nil, strict.AtIndex("query_parameters", i, err)
		}
		all = append(all, c)
	}
	if len(all) == 0 {
		return nil, strict.Errorf("query_parameters", "empty")
	}
	e, want := Entry{or(m.GetDescriptorKey(), "query_match"), m.GetDescriptorValue()}, expected(m.GetExpectMatch())
	return func(x *exchange.Exchange, _ Node) (Entry, bool) {
		_, query, _ := strings.Cut(x.Request.Path, "?")
		for _, q := range all {
			if !q.Match(query) {
				return e, !want
			}
		}
		return e, want
	}, required("descriptor_value", e.Value)
}

func metadata(m *routev3.RateLimit_Action_MetaData) (action, error) {
	k, err := compileKey(m.GetMetadataKey())
	if err != nil {
		return nil, strict.At("metadata_key", err)
	}
	var of func(x *exchange.Exchange) string
	switch m.GetSource() {
	case routev3.RateLimit_Action_MetaData_DYNAMIC:
		of = func(x *exchange.Exchange) string {
			s, _ := k.dynamic(x).Text()
			return s
		}
	case routev3.RateLimit_Action_MetaData_ROUTE_ENTRY:
		of = k.route
	default:
		return nil, strict.Errorf("source", "%d: %w", m.GetSource(), strict.ErrUnsupported)
	}
	key, def, skip := m.GetDescriptorKey(), m.GetDefaultValue(), m.GetSkipIfAbsent()
	return func(x *exchange.Exchange, _ Node) (Entry, bool) {
		if v := or(of(x), def); v != "" {
			return Entry{key, v}, true
		}
		return Entry{}, skip
	}, required("descriptor_key", key)
}

// metadataKey is a compiled MetadataKey.
type metadataKey struct {
	filter string
	path   []string
}

func compileKey(m *metadatav3.MetadataKey) (k metadataKey, err error) {
	if err := strict.Only(m, "key", "path"); err != nil {
		return k, err
	}
	k.filter = m.GetKey()
	for i, s := range m.GetPath() {
		if s.GetKey() == "" {
			return k, strict.AtIndex("path", i, strict.Errorf("key", "empty"))
		}
		k.path = append(k.path, s.GetKey())
	}
	if len(k.path) == 0 {
		return k, strict.Errorf("path", "empty")
	}
	return k, required("key", k.filter)
}

// dynamic gives the value in the request's dynamic metadata.
func (k *metadataKey) dynamic(x *exchange.Exchange) jsondoc.Value {
	v := x.Metadata[k.filter][k.path[0]]
	for _, p := range k.path[1:] {
		v = v.Get(p)
	}
	return v
}

// route gives the text in the route's metadata, "" if there is none.
func (k *metadataKey) route(x *exchange.Exchange) string {
	r, ok := x.Route.(Route)
	if !ok {
		return ""
	}
	v := structpb.NewStructValue(r.Metadata().GetFilterMetadata()[k.filter])
	for _, p := range k.path {
		v = v.GetStructValue().GetFields()[p]
	}
	return v.GetStringValue()
}
