package xds

import (
	"context"
	"log/slog"
	"net"
	"runtime/debug"
	"slices"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"

	"github.com/usher-mesh/usher/internal/proxy/origin"
)

// Feed is what comes of one type from one source other than ADS.
type Feed struct {
	Source origin.Source
	Type   string // URL
}

// FeedSink keeps what a feed brings.
type FeedSink interface {
	Sink
	// GiveUp has nothing wait for resources of these names any longer.
	GiveUp(typeURL string, names ...string)
	// Late is GiveUp since one has not come in time, unless it has.
	Late(typeURL, name string)
	// Watches gives the files that resources of the type name and are made of, in no order.
	Watches(typeURL string) []Watch
	// Reread has these files read again, and tells why what is bad of them is refused.
	Reread(typeURL string) (refused map[string]string)
}

// Watch is a file that may be replaced, or a folder of such.
type Watch struct {
	Path   string
	Folder bool
}

// Hub says which feeds there are to be, and keeps what they bring. It is safe for
// concurrent use.
type Hub interface {
	// Feeds gives those that are wanted, in the order of asking.
	Feeds() []Feed
	// From gives the sink of what comes from a source.
	From(origin.Source) FeedSink
}

// FeedsOptions say how feeds come by what they bring.
type FeedsOptions struct {
	Hub Hub
	// Read reads a file of resources. Its errors name the file.
	Read func(path string) (*discoveryv3.DiscoveryResponse, error)
	// File and Folder have moved called when something is moved to a path, or into a
	// folder (filewatch.Watcher).
	File, Folder func(path string, moved func()) (stop func(), err error)
	// Dial opens a connection to a cluster's server, for HTTP/2.
	Dial func(ctx context.Context, cluster string) (net.Conn, error)
	Node *corev3.Node
	Log  *slog.Logger
}

// Feeds keeps a feed for each that the hub wants.
type Feeds struct {
	o       FeedsOptions
	woken   chan struct{}
	running map[Feed]feed // Run's alone
}

// feed is one that runs.
type feed interface {
	// follow sees to what may have changed.
	follow()
	// stop ends it.
	stop()
}

// NewFeeds makes them; Run makes them work.
func NewFeeds(o FeedsOptions) *Feeds {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Feeds{o: o, woken: make(chan struct{}, 1), running: map[Feed]feed{}}
}

// Wake has the hub asked again, soon: what it wants may have changed.
func (f *Feeds) Wake() {
	select {
	case f.woken <- struct{}{}:
	default:
	}
}

// Run keeps the feeds until ctx ends.
func (f *Feeds) Run(ctx context.Context) error {
	defer func() {
		for _, r := range f.running {
			r.stop()
		}
	}()
	for {
		f.follow(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-f.woken:
		}
	}
}

// follow begins and ends feeds as the hub wants, and has each see to what has changed.
func (f *Feeds) follow(ctx context.Context) {
	want := f.o.Hub.Feeds()
	for which, r := range f.running {
		if !slices.Contains(want, which) {
			r.stop()
			delete(f.running, which)
		}
	}
	for _, which := range want {
		r := f.running[which]
		switch {
		case r != nil:
		case which.Source.Cluster != "":
			r = newServer(ctx, which, &f.o)
		default:
			r = newFile(which, &f.o, f.Wake)
		}
		f.running[which] = r
		f.attend(which, r)
	}
}

// attend has a feed see to what has changed. If that finds a fault in us, what was in force
// stays, and so do the other feeds.
func (f *Feeds) attend(which Feed, r feed) {
	defer func() {
		if p := recover(); p != nil {
			f.o.Log.Error("a source of resources failed", "source", which.Source, "type", which.Type, "panic", p, "stack", string(debug.Stack()))
		}
	}()
	r.follow()
}
