package xds

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync/atomic"

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
	Log          *slog.Logger
}

// Feeds keeps a feed for each that the hub wants.
type Feeds struct {
	o       FeedsOptions
	woken   chan struct{}
	running map[Feed]*file // Run's alone
}

// NewFeeds makes them; Run makes them work.
func NewFeeds(o FeedsOptions) *Feeds {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Feeds{o: o, woken: make(chan struct{}, 1), running: map[Feed]*file{}}
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
		f.follow()
		select {
		case <-ctx.Done():
			return nil
		case <-f.woken:
		}
	}
}

// follow begins and ends feeds as the hub wants, and reads the files that have moved.
func (f *Feeds) follow() {
	want := f.o.Hub.Feeds()
	for feed, r := range f.running {
		if !slices.Contains(want, feed) {
			r.stop()
			delete(f.running, feed)
		}
	}
	for _, feed := range want {
		r := f.running[feed]
		if r == nil {
			r = &file{feed: feed, o: &f.o, sink: f.o.Hub.From(feed.Source)}
			r.watch(f.Wake)
			f.running[feed] = r
		}
		r.follow()
	}
}

// file is a feed from a file.
type file struct {
	feed  Feed
	o     *FeedsOptions
	sink  FeedSink
	moved atomic.Bool
	names []string // that were looked for when it was read last
	stop  func()
}

func (r *file) watch(wake func()) {
	moved := func() { r.moved.Store(true); wake() }
	r.moved.Store(true) // it has not been read yet
	watch, path := r.o.File, r.feed.Source.Path
	if w := r.feed.Source.Watched; w != "" {
		watch, path = r.o.Folder, w
	}
	stop, err := watch(path, moved)
	if err != nil {
		r.o.Log.Error("a file of resources will not be read again when it changes", "file", r.feed.Source.Path, "error", err)
		stop = func() {}
	}
	r.stop = stop
}

// follow reads the file, if it was moved, or if more of it is wanted than before.
func (r *file) follow() {
	names := r.sink.Wanted(r.feed.Type)
	if !r.moved.Swap(false) && slices.Equal(names, r.names) {
		return
	}
	r.names = names
	all, err := r.o.Read(r.feed.Source.Path)
	if err != nil {
		r.failed(err)
		return
	}
	rejected := r.apply(all)
	for _, name := range slices.Sorted(maps.Keys(rejected)) {
		r.o.Log.Error("a file's resource is refused", "file", r.feed.Source.Path, "type", r.feed.Type, "name", name, "error", rejected[name])
	}
	r.sink.GiveUp(r.feed.Type, names...)
}

// failed tells why what was in force stays.
func (r *file) failed(err error) {
	r.o.Log.Error("a file of resources is refused; what was in force stays", "type", r.feed.Type, "error", err)
	r.sink.GiveUp(r.feed.Type, r.sink.Wanted(r.feed.Type)...)
}

// apply puts a file in force. Of all types but clusters and listeners it must hold the one
// resource that is wanted, as in Envoy; if it holds none, what was in force stays.
func (r *file) apply(all *discoveryv3.DiscoveryResponse) (rejected map[string]string) {
	if r.feed.Type == ClusterType || r.feed.Type == ListenerType || len(all.GetResources()) == 0 {
		return ApplyWorld(r.sink, r.feed.Type, all.GetVersionInfo(), all.GetResources())
	}
	rejected = map[string]string{}
	if n := len(all.GetResources()); n != 1 {
		for _, name := range r.names {
			rejected[name] = fmt.Sprintf("%d resources, want one", n)
		}
		return rejected
	}
	one, err := named(all.GetResources()[0], all.GetVersionInfo())
	for _, name := range r.names {
		switch {
		case err != nil:
			rejected[name] = err.Error()
		case one.Name != name:
			rejected[name] = fmt.Sprintf("resources[0]: named %q", one.Name)
		default:
			maps.Copy(rejected, ApplyWorld(r.sink, r.feed.Type, all.GetVersionInfo(), all.GetResources()))
		}
	}
	return rejected
}
