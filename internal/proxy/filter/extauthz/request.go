package extauthz

import (
	"encoding/pem"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/match"
)

// request says what the server is asked.
func (q *question) request() *authv3.CheckRequest {
	x, f := q.x, q.f
	a := &authv3.AttributeContext{Source: f.source(x), Destination: &authv3.AttributeContext_Peer{Address: address(x.Conn.Local), Labels: f.labels},
		ContextExtensions: q.s.extensions, Request: &authv3.AttributeContext_Request{Time: timestamppb.New(x.Start), Http: q.http()},
		MetadataContext: &corev3.Metadata{FilterMetadata: f.metadata(x)}, RouteMetadataContext: f.routeMetadata(x)}
	if x.Conn.TLS && f.localURI != nil {
		a.Destination.Principal = f.localURI()
	}
	if f.sni {
		a.TlsSession = &authv3.AttributeContext_TLSSession{Sni: utf8(x.Conn.SNI)}
	}
	return &authv3.CheckRequest{Attributes: a}
}

func address(a netip.AddrPort) *corev3.Address {
	return &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
		Address: a.Addr().Unmap().String(), PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: uint32(a.Port())}}}}
}

// source is the client. A certificate that the mesh does not vouch for gives no
// identity of the mesh: its URI is not named.
func (f *Filter) source(x *exchange.Exchange) *authv3.AttributeContext_Peer {
	p := &authv3.AttributeContext_Peer{Address: address(x.Remote()), Service: utf8(x.Request.Header.Get("x-envoy-downstream-service-cluster"))}
	c := x.Conn.Peer
	if c == nil {
		return p
	}
	switch {
	case x.Conn.PeerURI != "":
		p.Principal = x.Conn.PeerURI
	case len(c.DNSNames) > 0:
		p.Principal = utf8(c.DNSNames[0])
	default:
		p.Principal = utf8(c.Subject.String())
	}
	if f.certificate {
		p.Certificate = strings.ReplaceAll(url.QueryEscape(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))), "+", "%20")
	}
	return p
}

// partial is Envoy's own header in a check; a client's is not passed on.
const partial = "x-envoy-auth-partial-body"

func (q *question) http() *authv3.AttributeContext_HttpRequest {
	rq := &q.x.Request
	h := &authv3.AttributeContext_HttpRequest{
		Id: strconv.FormatUint(q.x.Random(), 10), Method: rq.Method, Path: rq.Path, Host: rq.Authority, Scheme: rq.Scheme,
		Protocol: "HTTP/2", Size: int64(len(q.body)),
	}
	if rq.ProtoMajor == 1 {
		h.Protocol = "HTTP/1." + strconv.Itoa(rq.ProtoMinor)
	}
	if q.f.raw {
		h.HeaderMap = &corev3.HeaderMap{}
	} else {
		h.Headers = make(map[string]string, rq.Header.Len()+4)
	}
	q.headers((*Filter).passes, func(name, value string) {
		if q.f.raw {
			h.HeaderMap.Headers = append(h.HeaderMap.Headers, &corev3.HeaderValue{Key: name, RawValue: []byte(value)})
			return
		}
		h.Headers[name] = value
	})
	switch {
	case q.raw:
		h.RawBody = q.body
	default:
		h.Body = utf8(string(q.body))
	}
	return h
}

// headers gives the fields that the server may see. Unless they are told raw, those of
// one name are joined, and what is not UTF-8 is replaced, as Envoy does.
func (q *question) headers(passes func(f *Filter, name string) bool, yield func(name, value string)) {
	rq := &q.x.Request
	for _, p := range [...]exchange.Field{{Name: ":method", Value: rq.Method}, {Name: ":path", Value: rq.Path}, {Name: ":authority", Value: rq.Authority}, {Name: ":scheme", Value: rq.Scheme}} {
		if passes(q.f, p.Name) {
			yield(p.Name, q.text(p.Value))
		}
	}
	all := rq.Header.Fields()
	for i, e := range all {
		if e.Name == partial || !passes(q.f, e.Name) {
			continue
		}
		if q.f.raw {
			yield(e.Name, e.Value)
			continue
		}
		if slices.ContainsFunc(all[:i], func(o exchange.Field) bool { return o.Name == e.Name }) {
			continue
		}
		value := e.Value
		for _, o := range all[i+1:] {
			if o.Name == e.Name {
				value += "," + o.Value
			}
		}
		yield(e.Name, q.text(value))
	}
	if q.content {
		yield(partial, strconv.FormatBool(q.part))
	}
}

func (q *question) text(s string) string {
	if q.f.raw {
		return s
	}
	return utf8(s)
}

// utf8 makes a text that protobuf takes, as Envoy does: a message with another would not
// be sent, and who is asked about nobody passes where failures do.
func utf8(s string) string { return strings.ToValidUTF8(s, "!") }

// passes tells whether a server of gRPC may see a header.
func (f *Filter) passes(name string) bool {
	if anyOf(f.disallowed, name) {
		return false
	}
	return f.allowed == nil || anyOf(f.allowed, name)
}

func anyOf(l []match.String, s string) bool {
	for _, m := range l {
		if m(s) {
			return true
		}
	}
	return false
}

// metadata gives the namespaces of dynamic metadata that the server is told.
func (f *Filter) metadata(x *exchange.Exchange) map[string]*structpb.Struct {
	var out map[string]*structpb.Struct
	for _, n := range f.namespaces {
		if len(x.Metadata[n]) == 0 {
			continue
		}
		s := &structpb.Struct{Fields: make(map[string]*structpb.Value, len(x.Metadata[n]))}
		for k, v := range x.Metadata[n] {
			var value structpb.Value
			if protojson.Unmarshal([]byte(v.JSON()), &value) == nil { // a number that no double holds is left out
				s.Fields[utf8(k)] = &value
			}
		}
		if out == nil {
			out = map[string]*structpb.Struct{}
		}
		out[n] = s
	}
	return out
}

// withMetadata is what the filter asks a route.
type withMetadata interface{ Metadata() *corev3.Metadata }

// routeMetadata gives the namespaces of the route's metadata that the server is told.
func (f *Filter) routeMetadata(x *exchange.Exchange) *corev3.Metadata {
	out := &corev3.Metadata{}
	r, ok := x.Route.(withMetadata)
	if !ok || len(f.routeNamespaces) == 0 && len(f.routeTyped) == 0 {
		return out
	}
	m := r.Metadata()
	for _, n := range f.routeNamespaces {
		if s, ok := m.GetFilterMetadata()[n]; ok {
			if out.FilterMetadata == nil {
				out.FilterMetadata = map[string]*structpb.Struct{}
			}
			out.FilterMetadata[n] = s
		}
	}
	for _, n := range f.routeTyped {
		if a, ok := m.GetTypedFilterMetadata()[n]; ok {
			if out.TypedFilterMetadata == nil {
				out.TypedFilterMetadata = map[string]*anypb.Any{}
			}
			out.TypedFilterMetadata[n] = a
		}
	}
	return out
}
