package accesslog

import (
	"cmp"
	"crypto/tls"
	"net/netip"
	"strconv"
	"strings"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	datav3 "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	grpcstatsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/grpc_stats/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/usher-mesh/usher/internal/jsondoc"
	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/redact"
)

// common says what requests and connections have in common. What nobody measures here (sizes
// of heads, bytes on the wire, this side's certificate) is left out.
func (l *alsLog[E]) common(x *exchange.Exchange) *datav3.AccessLogCommon {
	since := func(t time.Time) *durationpb.Duration {
		if t.IsZero() {
			return nil
		}
		return durationpb.New(t.Sub(x.Start))
	}
	c := &datav3.AccessLogCommon{
		StartTime: timestamppb.New(x.Start), Duration: since(x.Ended), TimeToLastRxByte: since(x.RequestEnd), TimeToLastUpstreamTxByte: since(x.Sent),
		TimeToFirstUpstreamRxByte: since(x.Answered), TimeToLastUpstreamRxByte: since(x.AnswerEnd), TimeToFirstDownstreamTxByte: since(x.Replied),
		RouteName: valid(x.RouteName), UpstreamRequestAttemptCount: uint32(x.Attempts), UpstreamTransportFailureReason: valid(x.Failure),
		StreamId: valid(cmp.Or(x.RequestID, x.Request.Header.Get("x-request-id"))), AccessLogType: datav3.AccessLogType(datav3.AccessLogType_value[x.LogType]), ResponseFlags: flagsOf(x),
	}
	if n := x.Conn; n != nil {
		c.DownstreamRemoteAddress, c.DownstreamDirectRemoteAddress, c.DownstreamLocalAddress = address(x.Remote()), address(n.Direct), address(n.Local)
		c.TlsProperties = tlsOf(n)
	}
	if x.UpstreamHost != "" {
		c.UpstreamCluster = valid(x.Cluster)
		if a, err := netip.ParseAddrPort(x.UpstreamHost); err == nil {
			c.UpstreamRemoteAddress = address(a)
		}
		c.UpstreamLocalAddress = address(x.UpstreamLocal)
	}
	for name, all := range x.Metadata {
		if len(all) == 0 {
			continue
		}
		if c.Metadata == nil {
			c.Metadata = &corev3.Metadata{FilterMetadata: map[string]*structpb.Struct{}}
		}
		s := &structpb.Struct{Fields: make(map[string]*structpb.Value, len(all))}
		for k, v := range all {
			s.Fields[valid(k)] = shownValue(v)
		}
		c.Metadata.FilterMetadata[valid(name)] = s
	}
	for _, name := range l.states {
		var state proto.Message
		if v, ok := x.FilterState[name]; ok {
			state = wrapperspb.String(valid(v))
		} else if name == exchange.MessagesState && x.Messages.State() {
			state = &grpcstatsv3.FilterObject{RequestMessageCount: x.Messages.Request, ResponseMessageCount: x.Messages.Response}
		} else {
			continue
		}
		if a, err := anypb.New(state); err == nil {
			if c.FilterStateObjects == nil {
				c.FilterStateObjects = map[string]*anypb.Any{}
			}
			c.FilterStateObjects[name] = a
		}
	}
	for i := range l.tags {
		if v := l.tags[i].Of(x); v != "" {
			if c.CustomTags == nil {
				c.CustomTags = map[string]string{}
			}
			c.CustomTags[l.tags[i].Name] = valid(v)
		}
	}
	return c
}

func address(a netip.AddrPort) *corev3.Address {
	if !a.IsValid() {
		return nil
	}
	return &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
		Address: a.Addr().String(), PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: uint32(a.Port())}}}}
}

var tlsVersions = map[uint16]datav3.TLSProperties_TLSVersion{
	tls.VersionTLS12: datav3.TLSProperties_TLSv1_2, tls.VersionTLS13: datav3.TLSProperties_TLSv1_3,
}

func tlsOf(n *exchange.Conn) *datav3.TLSProperties {
	if !n.TLS && n.SNI == "" {
		return nil
	}
	t := &datav3.TLSProperties{TlsSniHostname: valid(n.SNI)}
	if !n.TLS {
		return t
	}
	t.TlsVersion, t.TlsCipherSuite = tlsVersions[n.Version], wrapperspb.UInt32(uint32(n.Cipher))
	t.PeerCertificateProperties = &datav3.TLSProperties_CertificateProperties{}
	if p := n.Peer; p != nil {
		t.PeerCertificateProperties.Subject = valid(p.Subject.String())
		for _, u := range p.URIs {
			t.PeerCertificateProperties.SubjectAltName = append(t.PeerCertificateProperties.SubjectAltName,
				&datav3.TLSProperties_CertificateProperties_SubjectAltName{San: &datav3.TLSProperties_CertificateProperties_SubjectAltName_Uri{Uri: valid(u.String())}})
		}
	}
	return t
}

// shownValue is a value of metadata, in which what looks like a token is [redacted].
func shownValue(v jsondoc.Value) *structpb.Value {
	out := new(structpb.Value)
	if s, ok := v.Text(); ok {
		return structpb.NewStringValue(valid(redact.Tokens(s)))
	}
	if out.UnmarshalJSON([]byte(redact.Tokens(v.JSON()))) != nil {
		return structpb.NewNullValue()
	}
	return out
}

// flagFields are the fields of ResponseFlags, by the flags that texts have.
var flagFields = map[string]func(*datav3.ResponseFlags) *bool{
	"LH":    func(f *datav3.ResponseFlags) *bool { return &f.FailedLocalHealthcheck },
	"UH":    func(f *datav3.ResponseFlags) *bool { return &f.NoHealthyUpstream },
	"UT":    func(f *datav3.ResponseFlags) *bool { return &f.UpstreamRequestTimeout },
	"LR":    func(f *datav3.ResponseFlags) *bool { return &f.LocalReset },
	"UR":    func(f *datav3.ResponseFlags) *bool { return &f.UpstreamRemoteReset },
	"UF":    func(f *datav3.ResponseFlags) *bool { return &f.UpstreamConnectionFailure },
	"UC":    func(f *datav3.ResponseFlags) *bool { return &f.UpstreamConnectionTermination },
	"UO":    func(f *datav3.ResponseFlags) *bool { return &f.UpstreamOverflow },
	"NR":    func(f *datav3.ResponseFlags) *bool { return &f.NoRouteFound },
	"DI":    func(f *datav3.ResponseFlags) *bool { return &f.DelayInjected },
	"FI":    func(f *datav3.ResponseFlags) *bool { return &f.FaultInjected },
	"RL":    func(f *datav3.ResponseFlags) *bool { return &f.RateLimited },
	"RLSE":  func(f *datav3.ResponseFlags) *bool { return &f.RateLimitServiceError },
	"DC":    func(f *datav3.ResponseFlags) *bool { return &f.DownstreamConnectionTermination },
	"URX":   func(f *datav3.ResponseFlags) *bool { return &f.UpstreamRetryLimitExceeded },
	"SI":    func(f *datav3.ResponseFlags) *bool { return &f.StreamIdleTimeout },
	"IH":    func(f *datav3.ResponseFlags) *bool { return &f.InvalidEnvoyRequestHeaders },
	"DPE":   func(f *datav3.ResponseFlags) *bool { return &f.DownstreamProtocolError },
	"UMSDR": func(f *datav3.ResponseFlags) *bool { return &f.UpstreamMaxStreamDurationReached },
	"NFCF":  func(f *datav3.ResponseFlags) *bool { return &f.NoFilterConfigFound },
	"DT":    func(f *datav3.ResponseFlags) *bool { return &f.DurationTimeout },
	"UPE":   func(f *datav3.ResponseFlags) *bool { return &f.UpstreamProtocolError },
	"NC":    func(f *datav3.ResponseFlags) *bool { return &f.NoClusterFound },
	"OM":    func(f *datav3.ResponseFlags) *bool { return &f.OverloadManager },
	"DF":    func(f *datav3.ResponseFlags) *bool { return &f.DnsResolutionFailure },
	"DR":    func(f *datav3.ResponseFlags) *bool { return &f.DownstreamRemoteReset },
}

// flagsOf gives the flags of the answer; nil for none.
func flagsOf(x *exchange.Exchange) *datav3.ResponseFlags {
	all := x.ResponseFlags()
	if all == "" {
		return nil
	}
	out := new(datav3.ResponseFlags)
	for f := range strings.SplitSeq(all, ",") {
		if field := flagFields[f]; field != nil {
			*field(out) = true
		} else if f == "UAEX" {
			out.UnauthorizedDetails = &datav3.ResponseFlags_Unauthorized{Reason: datav3.ResponseFlags_Unauthorized_EXTERNAL_SERVICE}
		}
	}
	return out
}

// tcpEntry is the entry of a connection.
func tcpEntry(x *exchange.Exchange, c *datav3.AccessLogCommon) *datav3.TCPAccessLogEntry {
	return &datav3.TCPAccessLogEntry{CommonProperties: c, ConnectionProperties: &datav3.ConnectionProperties{ReceivedBytes: uint64(max(0, x.BytesReceived)), SentBytes: uint64(max(0, x.BytesSent))}}
}

// httpEntry makes entries of requests, with these fields besides; their names are in lower case.
type httpEntry struct{ request, response, trailers []string }

func (e *httpEntry) entry(x *exchange.Exchange, c *datav3.AccessLogCommon) *datav3.HTTPAccessLogEntry {
	rq := &x.Request
	field := func(name string) string {
		v, _ := joined(x, &rq.Header, name)
		return v
	}
	out := &datav3.HTTPAccessLogEntry{
		CommonProperties: c, ProtocolVersion: datav3.HTTPAccessLogEntry_HTTP11,
		Request: &datav3.HTTPRequestProperties{
			RequestMethod: corev3.RequestMethod(corev3.RequestMethod_value[rq.Method]), Scheme: valid(rq.Scheme), Authority: valid(rq.Authority),
			Path: valid(redact.Header(x, ":path", rq.Path)), UserAgent: field("user-agent"), Referer: field("referer"), ForwardedFor: field("x-forwarded-for"),
			RequestId: field("x-request-id"), OriginalPath: field("x-envoy-original-path"),
			RequestBodyBytes: uint64(max(0, x.BytesReceived)), RequestHeaders: fields(e.request, func(name string) (string, bool) { return requestField(x, name) }),
		},
		Response: &datav3.HTTPResponseProperties{
			ResponseCodeDetails: valid(x.Details), ResponseBodyBytes: uint64(max(0, x.BytesSent)),
			ResponseHeaders:  fields(e.response, func(name string) (string, bool) { return responseField(x, name) }),
			ResponseTrailers: fields(e.trailers, func(name string) (string, bool) { return joined(x, &x.Response.Trailer, name) }),
		},
	}
	c.TimeToLastDownstreamTxByte = c.Duration
	if x.Response.Status != 0 {
		out.Response.ResponseCode = wrapperspb.UInt32(uint32(x.Response.Status))
	}
	switch {
	case rq.ProtoMajor == 2:
		out.ProtocolVersion = datav3.HTTPAccessLogEntry_HTTP2
	case rq.ProtoMajor == 1 && rq.ProtoMinor == 0:
		out.ProtocolVersion = datav3.HTTPAccessLogEntry_HTTP10
	}
	return out
}

// requestField gives a field or pseudo-header of the request as it may be shown.
func requestField(x *exchange.Exchange, name string) (string, bool) {
	v := ""
	switch rq := &x.Request; name {
	case ":method":
		v = rq.Method
	case ":authority", "host":
		v = rq.Authority
	case ":scheme":
		v = rq.Scheme
	case ":path":
		v = redact.Header(x, name, rq.Path)
	default:
		return joined(x, &rq.Header, name)
	}
	return valid(v), v != ""
}

func responseField(x *exchange.Exchange, name string) (string, bool) {
	if name == ":status" && x.Response.Status != 0 {
		return strconv.Itoa(x.Response.Status), true
	}
	return joined(x, &x.Response.Header, name)
}

// fields gives those of the names that are there.
func fields(names []string, get func(name string) (string, bool)) map[string]string {
	if len(names) == 0 {
		return nil
	}
	out := make(map[string]string, len(names))
	for _, name := range names {
		if v, ok := get(name); ok {
			out[name] = v
		}
	}
	return out
}

// joined gives all values of a field as they may be shown, by commas.
func joined(x *exchange.Exchange, h *exchange.Header, name string) (v string, there bool) {
	for _, f := range h.Fields() {
		switch {
		case f.Name != name:
		case there:
			v += "," + redact.Header(x, name, f.Value)
		default:
			v, there = redact.Header(x, name, f.Value), true
		}
	}
	return valid(v), there
}

func lower(names []string) []string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = strings.ToLower(n)
	}
	return out
}
