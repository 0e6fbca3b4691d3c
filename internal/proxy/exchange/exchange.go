// Package exchange holds one HTTP request with its response on their way through
// the proxy, in a form that is the same for HTTP/1.1 and HTTP/2. Codecs fill it,
// filters read and change it, the router sends it on. It knows no wire format,
// no configuration and no socket.
package exchange

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/rand/v2"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/usher-mesh/usher/internal/jsondoc"
)

// UnknownLength is the ContentLength of a body whose length is not declared.
const UnknownLength = -1

// Content is a body of either codec, or one that a filter has put in front of it.
type Content interface {
	io.Reader
	// Whole gives all of it if it has come already, without using it up; Skip does that then.
	Whole() ([]byte, bool)
	Skip()
	// Done tells whether nothing comes any more, neither content nor trailers.
	Done() bool
	// Buffered counts the bytes that Read gives without waiting.
	Buffered() int
}

// Request is the request as the client sent it, less hop-by-hop fields. Filters
// change it in place before the router sends it upstream.
type Request struct {
	Method    string // as sent, upper or lower case kept
	Scheme    string // "http" or "https"
	Authority string // Host or :authority, as sent
	Path      string // origin form with query, "*" or "" (CONNECT)
	ProtoMajor,
	ProtoMinor int
	Header        Header
	ContentLength int64     // bytes; 0 without a body; UnknownLength if streamed
	Body          io.Reader // nil without a body; trailers are complete at io.EOF
	Trailer       Header
	Upgrade       string // requested upgrade in lower case ("websocket"), or ""
}

// Response is the answer on its way back.
type Response struct {
	Status        int
	Header        Header
	ContentLength int64
	Body          io.Reader
	Trailer       Header
}

// Conn is what is known of the connection that a request came by. It is shared
// by the connection's exchanges and never changed after the handshake, but for what
// filters keep (Own).
type Conn struct {
	// Remote is who connects, or whom the PROXY protocol tells; Direct always the other
	// end of the connection.
	Remote, Direct, Local netip.AddrPort
	ID                    uint64 // see NextID
	// Accepted is this end of the connection: Local, unless that was restored.
	Accepted netip.AddrPort
	TLS      bool
	SNI      string
	ALPN     string
	Version  uint16 // of TLS, as crypto/tls numbers it; 0 in clear
	Cipher   uint16
	// Peer is the verified leaf certificate of an mTLS peer, else nil.
	Peer *x509.Certificate
	// PeerURI is the one URI SAN of Peer (a SPIFFE ID), or "".
	PeerURI string
	// Foreign: who vouches for Peer is not the mesh's authority. It has no
	// identity in the mesh, and PeerURI is "".
	Foreign bool
	// Chain is Peer and what it has shown besides; Shown is what this side has, nil if it has
	// shown nothing.
	Chain []*x509.Certificate
	Shown *x509.Certificate
	Group tls.CurveID // of the key exchange; 0 if there was none

	// Place is where it came in.
	Place *Place

	// TLVs are what the PROXY protocol tells besides, as far as it may be passed on; nil: it
	// was not spoken.
	TLVs []TLV

	mu  sync.Mutex
	own map[any]any
}

// TLV is a typed value of the PROXY protocol's second version.
type TLV struct {
	Type  byte
	Value string // bytes, at most 64 KiB
}

// Own gives what somebody keeps for the connection, which is made once. It goes with the
// connection.
func (c *Conn) Own(of any, create func() any) any {
	c.mu.Lock()
	defer c.mu.Unlock()
	v, ok := c.own[of]
	if !ok {
		if c.own == nil {
			c.own = map[any]any{}
		}
		v = create()
		c.own[of] = v
	}
	return v
}

// MTLS tells whether the peer proved who it is by a certificate.
func (c *Conn) MTLS() bool { return c.Peer != nil }

// Exchange is one request with its response. It belongs to one goroutine.
type Exchange struct {
	Conn     *Conn
	Listener string // name of the listener
	Request  Request
	Response Response
	Start    time.Time
	Facts

	// Client is who asks, by the word of proxies that are trusted: the address has no port.
	// Not valid where none is: see Remote.
	Client netip.Addr

	// Route is what the route table selected (*route.Route); nil before, and
	// after ClearRoute.
	Route any
	// Cluster names the upstream cluster that the router chose, "" if there is none of the
	// name.
	Cluster string
	// Hash is what the route's hash_policy makes of the request, for load balancers
	// that keep to one endpoint; 0: nothing.
	Hash uint64
	// UpstreamHost is the endpoint that was asked last, and Endpoint what formats ask of it.
	UpstreamHost string
	Endpoint     Endpoint

	// Metadata is Envoy's dynamic metadata: filter name -> key -> value.
	Metadata map[string]map[string]jsondoc.Value

	// FilterState are texts that filters leave for later ones (Envoy's filter state,
	// as far as its objects are strings), by name.
	FilterState map[string]string

	// Destination is where clusters of type ORIGINAL_DST send the request, if a filter has
	// said so (DestinationState).
	Destination netip.AddrPort

	// Details is Envoy's response code detail for the access log; Flags are its
	// response flags ("UH", "UF", ...). Neither holds text of a client.
	Details string
	Flags   string

	// Delayed: a filter has held the request up (Envoy's flag DI). Unretried is the flag of
	// why it was not sent again although it should have been (URX, UO), "" else. See
	// ResponseFlags.
	Delayed   bool
	Unretried string

	// Again: the request of a lasting connection is judged once more. A filter judges it
	// as ever, and leaves out what it does besides, such as spending of a rate limit.
	Again bool

	// Sleep holds the request up. False: it has ended meanwhile, and whatever there is
	// to answer has been: the filter's Decode returns false.
	Sleep func(time.Duration) bool

	// Buffer reads the request's content until it is whole or most bytes are there, and
	// gives at most so many; what was read goes on with the request. False: the request
	// has ended, as with Sleep. Unless partial, one with more content has: it is answered
	// with 413.
	Buffer func(most int, partial bool) (b []byte, whole, ok bool)

	// Watch has f called if the client is seen to go, until stop returns. Nil: nobody looks.
	Watch func(f func()) (stop func())

	// Until is when what let the request in runs out, such as a token; zero: never.
	// It matters to what outlives the request: see HoldsUntil.
	Until time.Time

	// secrets are names whose values are [redacted] wherever the request is
	// shown: see Redact.
	secrets []Secret

	// spare are empty maps of earlier requests' metadata, for those to come.
	spare []map[string]jsondoc.Value

	routeCleared bool
	local        bool
	localBody    string
	localGRPC    int // grpc-status of a local reply, plus one; 0: by its HTTP status
	random       uint64
	atEnd        []func()
	kept         []kept
}

// SecretKind tells where a redacted value stands.
type SecretKind uint8

// Where a value that must not be shown stands.
const (
	SecretHeader SecretKind = iota
	SecretParam
	SecretCookie
)

// Secret names a header, query parameter or cookie whose value is not shown.
type Secret struct {
	Kind SecretKind
	Name string
}

// Redact declares that values of these places must be shown as [redacted] in
// logs, traces, error texts and x-envoy-original-path. The slice is shared.
func (x *Exchange) Redact(s []Secret) { x.secrets = append(x.secrets, s...) }

// Context is for what is asked about the request: it ends after d, and with the client.
// Who gets no answer asks Gone.
func (x *Exchange) Context(d time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	if x.Watch == nil {
		return ctx, cancel
	}
	stop := x.Watch(cancel)
	return ctx, func() { stop(); cancel() }
}

// Gone tells whether a context of Context has ended with the client: there is nobody to
// answer, and the filter's Decode returns false.
func Gone(ctx context.Context) bool { return errors.Is(ctx.Err(), context.Canceled) }

// Secrets gives what Redact declared.
func (x *Exchange) Secrets() []Secret { return x.secrets }

// HoldsUntil says that a filter's consent is good until then at most.
func (x *Exchange) HoldsUntil(t time.Time) {
	if !t.IsZero() && (x.Until.IsZero() || t.Before(x.Until)) {
		x.Until = t
	}
}

// Clone makes a copy of the head that holds when the connection's buffer is gone.
func (r *Request) Clone() *Request {
	c := *r
	c.Method, c.Scheme, c.Authority = strings.Clone(r.Method), strings.Clone(r.Scheme), strings.Clone(r.Authority)
	c.Path, c.Upgrade = strings.Clone(r.Path), strings.Clone(r.Upgrade)
	c.Header, c.Trailer, c.Body = Header{fields: make([]Field, r.Header.Len())}, Header{}, nil
	for i, f := range r.Header.fields {
		c.Header.fields[i] = Field{strings.Clone(f.Name), strings.Clone(f.Value)}
	}
	return &c
}

// SetMetadata sets one value of a filter's dynamic metadata.
func (x *Exchange) SetMetadata(filter, key string, value jsondoc.Value) {
	if x.Metadata == nil {
		x.Metadata = make(map[string]map[string]jsondoc.Value, 1)
	}
	m := x.Metadata[filter]
	if m == nil {
		if n := len(x.spare); n > 0 {
			m, x.spare = x.spare[n-1], x.spare[:n-1]
		} else {
			m = make(map[string]jsondoc.Value, 2)
		}
		x.Metadata[filter] = m
	}
	m[key] = value
}

// SetFilterState leaves a text for later filters.
func (x *Exchange) SetFilterState(name, value string) {
	if x.FilterState == nil {
		x.FilterState = make(map[string]string, 1)
	}
	x.FilterState[name] = value
}

// Remote is the client's address: what trusted proxies say, else the connection's.
func (x *Exchange) Remote() netip.AddrPort {
	switch {
	case x.Client.IsValid():
		return netip.AddrPortFrom(x.Client, 0)
	case x.Conn == nil:
		return netip.AddrPort{}
	}
	return x.Conn.Remote
}

// ClearRoute makes the connection manager choose the route again, since a filter
// changed what it depends on (Envoy's clear_route_cache).
func (x *Exchange) ClearRoute() { x.Route, x.routeCleared = nil, true }

// RouteCleared tells whether ClearRoute was called since the last call.
func (x *Exchange) RouteCleared() bool {
	c := x.routeCleared
	x.routeCleared = false
	return c
}

// Reply makes the proxy answer by itself. Details is the response code detail.
// Body is sent as text/plain; a gRPC request gets trailers only instead.
func (x *Exchange) Reply(status int, body, details string) {
	x.Response.Status = status
	x.Response.Header.Reset()
	x.Response.Trailer.Reset()
	x.Response.ContentLength = int64(len(body))
	x.Response.Body = nil
	x.localBody = body
	x.local = true
	x.localGRPC = 0
	x.Details = details
}

// ReplyGRPC is Reply with the grpc-status that a gRPC request gets.
func (x *Exchange) ReplyGRPC(status, grpc int, body, details string) {
	x.Reply(status, body, details)
	x.localGRPC = grpc + 1
}

// LocalGRPC gives the grpc-status of a reply that ReplyGRPC made.
func (x *Exchange) LocalGRPC() (grpc int, ok bool) { return x.localGRPC - 1, x.localGRPC > 0 }

// Random is a number that stays the same for the request: what depends on chance is
// decided once, whoever asks.
func (x *Exchange) Random() uint64 {
	for x.random == 0 {
		x.random = rand.Uint64()
	}
	return x.random
}

// kept is what a filter left for its later half.
type kept struct{ of, value any }

// Keep leaves a value for the same filter, which sees the answer later (Kept).
func (x *Exchange) Keep(of, value any) { x.kept = append(x.kept, kept{of, value}) }

// Kept gives what a filter kept last, nil for nothing.
func (x *Exchange) Kept(of any) any {
	for i := len(x.kept) - 1; i >= 0; i-- {
		if x.kept[i].of == of {
			return x.kept[i].value
		}
	}
	return nil
}

// AtEnd has f called when the request is over, answered or not.
func (x *Exchange) AtEnd(f func()) { x.atEnd = append(x.atEnd, f) }

// End calls what AtEnd was given, once.
func (x *Exchange) End() {
	for _, f := range x.atEnd {
		f()
	}
	clear(x.atEnd)
	x.atEnd = x.atEnd[:0]
}

// Local gives the body of a reply that Reply made.
func (x *Exchange) Local() (body string, ok bool) { return x.localBody, x.local }

// SetLocal replaces the body of a reply that Reply made, for filters that see the answer.
func (x *Exchange) SetLocal(body string) {
	x.localBody, x.Response.ContentLength = body, int64(len(body))
}

// Reset makes the exchange ready for the connection's next request. What held the
// last one's fields and metadata is used again: nobody may keep it.
func (x *Exchange) Reset() {
	for _, m := range x.Metadata {
		clear(m)
		x.spare = append(x.spare, m)
	}
	clear(x.Metadata)
	rq, rs := x.Request.Header, x.Response.Header
	rqt, rst := x.Request.Trailer, x.Response.Trailer
	rq.Reset()
	rs.Reset()
	rqt.Reset()
	rst.Reset()
	clear(x.kept)
	*x = Exchange{Conn: x.Conn, Listener: x.Listener, Metadata: x.Metadata, Sleep: x.Sleep, Buffer: x.Buffer, Watch: x.Watch, secrets: x.secrets[:0], spare: x.spare, atEnd: x.atEnd, kept: x.kept[:0]}
	x.Request.Header, x.Request.Trailer = rq, rqt
	x.Response.Header, x.Response.Trailer = rs, rst
}

// Forget makes the exchange ready for another connection: nothing of this one is left.
func (x *Exchange) Forget() {
	x.Reset()
	clear(x.secrets[:cap(x.secrets)])
	x.Conn, x.Listener, x.Sleep, x.Buffer, x.Watch = nil, "", nil, nil, nil
}
