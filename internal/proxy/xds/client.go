package xds

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"runtime/debug"
	"sync/atomic"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
)

// How the client paces and bounds itself.
const (
	minBackoff     = 50 * time.Millisecond
	maxBackoff     = 5 * time.Second
	connectTimeout = 5 * time.Second
	maxMessage     = 64 << 20 // bytes of a response
	bufferSize     = 8 << 10  // bytes, each way
	// pingAfter is the shortest that a grpc-go server suffers by default.
	pingAfter   = 5*time.Minute + 5*time.Second
	pingTimeout = 20 * time.Second
	// firstAnswer is how long a control plane that can be reached may take for its
	// first word before it counts as away.
	firstAnswer = 2 * time.Second
)

// Options say whom to ask and who asks.
type Options struct {
	Addr string      // host:port
	TLS  *tls.Config // identity.ClientTLS of the proxy's own identity
	// Dial, if set, opens connections instead, and whatever secures them; Addr is for
	// the log then.
	Dial func(context.Context) (net.Conn, error)
	// World speaks the state-of-the-world variant, and not delta.
	World bool
	Node  *corev3.Node
	Sink  Sink
	Log   *slog.Logger
	// Fallback, if set, is called once, between two streams, if the first one brings
	// no answer: the control plane is away.
	Fallback func()
	// OnChange, if set, is called after each response was answered, and when the
	// stream broke.
	OnChange func()
}

// Client is one proxy's line to its control plane.
type Client struct {
	o         Options
	connected atomic.Bool
	responses atomic.Uint64
	rejected  atomic.Uint64
	streams   atomic.Uint64
	accepted  map[string]string // type -> version of the last good response; World's
}

// New makes a client; Run makes it work.
func New(o Options) *Client {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Client{o: o, accepted: map[string]string{}}
}

// Connected tells whether the stream is open and has been answered on.
func (c *Client) Connected() bool { return c.connected.Load() }

// Counts gives how many streams were opened, responses came, and resources were
// refused.
func (c *Client) Counts() (streams, responses, rejected uint64) {
	return c.streams.Load(), c.responses.Load(), c.rejected.Load()
}

// Run keeps a stream open until ctx ends.
func (c *Client) Run(ctx context.Context) error {
	pause := time.Duration(0)
	fallback := c.o.Fallback
	for {
		patience := time.Duration(0)
		if fallback != nil {
			patience = firstAnswer
		}
		talked, err := c.attempt(ctx, patience)
		if ctx.Err() != nil {
			return nil
		}
		if fallback != nil && !talked {
			fallback()
		}
		fallback = nil
		if talked && !errors.Is(err, errFault) {
			pause = 0
		}
		pause = min(max(minBackoff, 2*pause), maxBackoff)
		wait := pause/2 + rand.N(pause/2)
		c.o.Log.Warn("no control plane", "address", c.o.Addr, "error", err, "retry", wait.Round(time.Millisecond))
		t := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			t.Stop()
			return nil
		case <-t.C:
		}
	}
}

// errFault ends a stream on which something came that finds a fault in us. The process
// goes on, with what is in force.
var errFault = errors.New("an internal error; see the log before")

// attempt is one connection with one stream. Each has a connection of its own:
// grpc's would keep its own pause, and fail calls at once meanwhile. It is given up
// if no answer comes in patience; zero: never.
func (c *Client) attempt(ctx context.Context, patience time.Duration) (talked bool, err error) {
	answered := func() { talked = true }
	defer func() {
		if p := recover(); p != nil {
			c.o.Log.Error("talking to the control plane failed", "address", c.o.Addr, "panic", p, "stack", string(debug.Stack()))
			err = errFault
		}
	}()
	secure := grpc.WithTransportCredentials(insecure.NewCredentials())
	if c.o.Dial == nil {
		secure = grpc.WithTransportCredentials(credentials.NewTLS(c.o.TLS))
	}
	conn, err := grpc.NewClient("passthrough:///"+c.o.Addr,
		secure, c.dialer(),
		grpc.WithNoProxy(), // the application's proxy variables are not for us
		grpc.WithDisableRetry(),
		grpc.WithDisableServiceConfig(),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: backoff.DefaultConfig, MinConnectTimeout: connectTimeout}),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: pingAfter, Timeout: pingTimeout}),
		grpc.WithReadBufferSize(bufferSize), grpc.WithWriteBufferSize(bufferSize),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage)),
	)
	if err != nil {
		return false, err
	}
	defer conn.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if patience > 0 {
		t := time.AfterFunc(patience, cancel)
		answered = func() { talked = true; t.Stop() }
	}
	defer c.changed()
	defer c.connected.Store(false)
	ads := discoveryv3.NewAggregatedDiscoveryServiceClient(conn)
	if c.o.World {
		stream, err := ads.StreamAggregatedResources(ctx)
		if err != nil {
			return false, err
		}
		c.streams.Add(1)
		return c.talkWorld(stream, answered)
	}
	stream, err := ads.DeltaAggregatedResources(ctx)
	if err != nil {
		return false, err
	}
	c.streams.Add(1)
	return c.talk(stream, answered)
}

func (c *Client) dialer() grpc.DialOption {
	if c.o.Dial == nil {
		return grpc.EmptyDialOption{}
	}
	return grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return c.o.Dial(ctx) })
}

func (c *Client) changed() {
	if c.o.OnChange != nil {
		c.o.OnChange()
	}
}

type stream = discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResourcesClient

func (c *Client) talk(s stream, answered func()) (talked bool, err error) {
	subs := make(subscriptions)
	node := c.o.Node
	send := func(r *discoveryv3.DeltaDiscoveryRequest) error {
		r.Node, node = node, nil // said once a stream
		return s.Send(r)
	}
	for _, t := range Types() {
		if err := c.subscribe(t, subs, send); err != nil {
			return false, ended(s.Recv, err)
		}
	}
	for {
		r, err := s.Recv()
		if err != nil {
			return talked, err
		}
		if !talked {
			answered()
			c.o.Log.Info("connected to the control plane", "address", c.o.Addr)
		}
		talked = true
		if err := send(c.answer(r)); err != nil {
			return talked, ended(s.Recv, err)
		}
		for _, t := range Types() {
			if err := c.subscribe(t, subs, send); err != nil {
				return talked, ended(s.Recv, err)
			}
		}
		c.connected.Store(true)
		c.responses.Add(1)
		c.changed()
	}
}

// ended gives why a stream ended that something could not be sent on: what is received
// tells, Send's io.EOF does not.
func ended[R any](recv func() (R, error), sendErr error) error {
	if _, err := recv(); err != nil {
		return err
	}
	return sendErr
}

// subscribe tells the control plane what changed in what the sink wants. The
// first request for a type says what is held already.
func (c *Client) subscribe(t string, subs subscriptions, send func(*discoveryv3.DeltaDiscoveryRequest) error) error {
	first := subs[t] == nil
	add, drop := subs.change(t, c.o.Sink.Wanted(t))
	if len(add) == 0 && len(drop) == 0 {
		return nil
	}
	r := &discoveryv3.DeltaDiscoveryRequest{TypeUrl: t, ResourceNamesSubscribe: add, ResourceNamesUnsubscribe: drop}
	if first {
		r.InitialResourceVersions = c.o.Sink.Versions(t)
	}
	if err := send(r); err != nil {
		return fmt.Errorf("subscribe: %w", err)
	}
	return nil
}

var errType = errors.New("a type that was not asked for")

// answer applies a response and makes its ACK or NACK.
func (c *Client) answer(r *discoveryv3.DeltaDiscoveryResponse) *discoveryv3.DeltaDiscoveryRequest {
	out := &discoveryv3.DeltaDiscoveryRequest{TypeUrl: r.GetTypeUrl(), ResponseNonce: r.GetNonce()}
	if !known(r.GetTypeUrl()) {
		out.ErrorDetail = nack(map[string]string{"": errType.Error()})
		return out
	}
	u := Update{Type: r.GetTypeUrl(), Removed: r.GetRemovedResources()}
	for _, x := range r.GetResources() {
		u.Resources = append(u.Resources, Resource{Name: x.GetName(), Version: x.GetVersion(), Body: x.GetResource()})
	}
	if rejected := c.o.Sink.Apply(u); len(rejected) > 0 {
		c.rejected.Add(uint64(len(rejected)))
		out.ErrorDetail = nack(rejected)
	}
	return out
}

func known(t string) bool {
	for _, k := range Types() {
		if t == k {
			return true
		}
	}
	return false
}
