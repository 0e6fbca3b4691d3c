package exchange

import (
	"net"
	"net/netip"
	"strconv"
	"time"

	"github.com/usher-mesh/usher/internal/jsondoc"
)

// Facts are what is known by now of a request's way, for formats and logs. Times are
// zero until what they are of has happened.
type Facts struct {
	RequestEnd time.Time // the client's last byte
	Sent       time.Time // the last byte that an upstream was sent
	Answered   time.Time // the upstream's first byte
	AnswerEnd  time.Time // the upstream's last byte
	Replied    time.Time // the first byte that the client was sent
	Ended      time.Time // of all

	BytesReceived int64 // of the request's content
	BytesSent     int64 // of the response's content

	// ClusterShown is what the cluster is called where it is shown (Envoy's alt_stat_name),
	// "" if there is none of its name; ClusterMetadata is its metadata by namespace.
	ClusterShown    string
	ClusterMetadata map[string]jsondoc.Value

	UpstreamLocal netip.AddrPort // source address of the upstream connection; not valid: there was none
	Upstream      *UpstreamConn  // that connection; nil: there was none
	UpstreamMajor int            // version of HTTP that the upstream was asked in; 0: none was
	Attempts      int            // how often an upstream was asked
	RouteName     string
	VirtualHost   VirtualHost // nil: there was none for the authority
	OriginalPath  string      // as the client sent it
	RequestID     string
	// LogType is Envoy's AccessLogType of the line that is written; "" before.
	LogType string
	// Trace is the request's span; all zeros: it has none.
	Trace Trace
	// Messages are what a filter has counted of gRPC's; nil: none counts. They are whole when the
	// request has ended.
	Messages *Messages
	// HealthCheck: a filter took the request for one.
	HealthCheck bool
	// Failure is Envoy's transport failure reason; holds no text of a client.
	Failure string
}

// Trace names the span of a request, whether or not anybody is told of it.
type Trace struct {
	ID [16]byte
	// Short: only the last 8 bytes of ID are one, as in Zipkin.
	Short bool
	Span  [8]byte
	// Forced: somebody of the mesh has asked for the trace (x-envoy-force-trace).
	Forced bool
}

// Messages counts the messages of a call of gRPC.
type Messages struct {
	Request, Response uint64
	Shown             bool // they are the filter state MessagesState, once there is one
}

// MessagesState is Envoy's name of a filter state that is no text.
const MessagesState = "envoy.filters.http.grpc_stats"

// State tells whether there is the filter state.
func (m *Messages) State() bool { return m != nil && m.Shown && m.Request+m.Response > 0 }

// AppendJSON appends Envoy's message FilterObject, in the JSON form of protobuf.
func (m *Messages) AppendJSON(b []byte) []byte {
	b = append(b, '{')
	if m.Request > 0 {
		b = append(strconv.AppendUint(append(b, `"requestMessageCount":"`...), m.Request, 10), '"')
	}
	if m.Request > 0 && m.Response > 0 {
		b = append(b, ',')
	}
	if m.Response > 0 {
		b = append(strconv.AppendUint(append(b, `"responseMessageCount":"`...), m.Response, 10), '"')
	}
	return append(b, '}')
}

// AddrPort gives the address of a TCP connection's end; not valid of another.
func AddrPort(a net.Addr) netip.AddrPort {
	t, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	p := t.AddrPort()
	return netip.AddrPortFrom(p.Addr().Unmap(), p.Port())
}
