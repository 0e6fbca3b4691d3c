package extauthz

import (
	"encoding/pem"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/match"
)

// request says what the server is asked.
func (f *Filter) request(x *exchange.Exchange, s *settings) *authv3.CheckRequest {
	a := &authv3.AttributeContext{Source: f.source(x), Destination: &authv3.AttributeContext_Peer{Address: address(x.Conn.Local)}, ContextExtensions: s.extensions,
		Request: &authv3.AttributeContext_Request{Time: timestamppb.New(x.Start), Http: f.http(x)}, MetadataContext: &corev3.Metadata{FilterMetadata: f.metadata(x)},
		RouteMetadataContext: &corev3.Metadata{}}
	if x.Conn.TLS && f.localURI != nil {
		a.Destination.Principal = f.localURI()
	}
	if f.sni {
		a.TlsSession = &authv3.AttributeContext_TLSSession{Sni: x.Conn.SNI}
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
	p := &authv3.AttributeContext_Peer{Address: address(x.Conn.Remote), Service: x.Request.Header.Get("x-envoy-downstream-service-cluster")}
	c := x.Conn.Peer
	if c == nil {
		return p
	}
	switch {
	case x.Conn.PeerURI != "":
		p.Principal = x.Conn.PeerURI
	case len(c.DNSNames) > 0:
		p.Principal = c.DNSNames[0]
	default:
		p.Principal = c.Subject.String()
	}
	if f.certificate {
		p.Certificate = strings.ReplaceAll(url.QueryEscape(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))), "+", "%20")
	}
	return p
}

// partial is Envoy's own header in a check; a client's is not passed on.
const partial = "x-envoy-auth-partial-body"

func (f *Filter) http(x *exchange.Exchange) *authv3.AttributeContext_HttpRequest {
	rq := &x.Request
	h := &authv3.AttributeContext_HttpRequest{
		Id: strconv.FormatUint(x.Random(), 10), Method: rq.Method, Path: rq.Path, Host: rq.Authority, Scheme: rq.Scheme,
		Protocol: "HTTP/2", Headers: make(map[string]string, rq.Header.Len()+4),
	}
	if rq.ProtoMajor == 1 {
		h.Protocol = "HTTP/1." + strconv.Itoa(rq.ProtoMinor)
	}
	add := func(name, value string) {
		if name == partial || !f.passes(name) {
			return
		}
		value = strings.ToValidUTF8(value, "!") // as Envoy does
		if old, there := h.Headers[name]; there {
			value = old + "," + value
		}
		h.Headers[name] = value
	}
	add(":method", rq.Method)
	add(":path", rq.Path)
	add(":authority", rq.Authority)
	add(":scheme", rq.Scheme)
	for _, e := range rq.Header.Fields() {
		add(e.Name, e.Value)
	}
	return h
}

// passes tells whether the server may see a header.
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
				s.Fields[k] = &value
			}
		}
		if out == nil {
			out = map[string]*structpb.Struct{}
		}
		out[n] = s
	}
	return out
}
