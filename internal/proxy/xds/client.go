package xds

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"maps"
	"net"
	"runtime/debug"
	"slices"
	"sync/atomic"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	statuspb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
)

// How the client paces and bounds itself.
const (
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
	// Type, if set, is the one that is asked for, of a service of its own; "": all, over ADS.
	Type string
	// World speaks the state-of-the-world variant, and not delta.
	World bool
	Node  *corev3.Node
	Sink  Sink
	Log   *slog.Logger
	// Fallback, if set, is called once, between two streams, if the first one brings
	// no answer: the control plane is away.
	Fallback func()
	// Pauses between streams; zero: those that a control plane is given.
	Pauses Pauses
	// OnRefusal, if set, is told what of a response is refused, before the server is.
	OnRefusal func(rejected map[string]string)
	// OnChange, if set, is called after each response was answered, and when the
	// stream broke.
	OnChange func()
}

// Client is one proxy's line to its control plane, or to a server of one type.
type Client struct {
	o         Options
	connected atomic.Bool
	responses atomic.Uint64
	rejected  atomic.Uint64
	streams   atomic.Uint64
	accepted  map[string]string // type -> version of the last good response; World's
	woken     chan struct{}
	asked     subscriptions // on any stream
}

// New makes a client; Run makes it work.
func New(o Options) *Client {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Pauses == (Pauses{}) {
		o.Pauses = adsPauses
	}
	return &Client{o: o, accepted: map[string]string{}, woken: make(chan struct{}, 1), asked: subscriptions{}}
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
	for _, t := range c.types() {
		c.wanted(t)
	}
	for {
		patience := time.Duration(0)
		if fallback != nil {
			patience = firstAnswer
		}
		began := time.Now()
		talked, err := c.attempt(ctx, patience)
		if ctx.Err() != nil {
			return nil
		}
		c.broken()
		if fallback != nil && !talked {
			fallback()
		}
		fallback = nil
		var wait time.Duration
		pause, wait = c.o.Pauses.after(pause, talked && time.Since(began) >= c.o.Pauses.Most)
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
	return c.talk(ctx, conn, answered)
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

// wanted gives what the sink wants of a type, and counts what had not been asked for yet.
func (c *Client) wanted(t string) []string {
	names := c.o.Sink.Wanted(t)
	if add, _ := c.asked.change(t, names); len(add) > 0 {
		c.o.Sink.Count(t, Attempt, add...)
	}
	return names
}

// counted counts what became of a response with these resources, after which the server may
// go on.
func (c *Client) counted(t string, names []string, rejected map[string]string) {
	if lists(t) {
		names = []string{Wildcard}
	}
	count(c.o.Sink, t, names, rejected)
	c.o.Sink.Count(t, Attempt, names...)
}

// broken counts that nothing comes any more of what was asked for, which is tried again.
func (c *Client) broken() {
	for t, names := range c.asked {
		all := slices.Sorted(maps.Keys(names))
		c.o.Sink.Count(t, Failure, all...)
		c.o.Sink.Count(t, Attempt, all...)
	}
}

// refuse makes the NACK of a response.
func (c *Client) refuse(rejected map[string]string) *statuspb.Status {
	c.rejected.Add(uint64(len(rejected)))
	if c.o.OnRefusal != nil {
		c.o.OnRefusal(rejected)
	}
	return nack(rejected)
}

// Wake has the sink asked again, soon: what it wants may have changed.
func (c *Client) Wake() {
	select {
	case c.woken <- struct{}{}:
	default:
	}
}

func (c *Client) known(t string) bool { return slices.Contains(c.types(), t) }
