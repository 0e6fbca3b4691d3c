package xds

import (
	"fmt"
	"maps"
	"slices"
	"sync/atomic"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
)

// file is a feed from a file.
type file struct {
	feed    Feed
	o       *FeedsOptions
	sink    FeedSink
	wake    func()
	moved   atomic.Bool
	names   []string // that were looked for when it was read last
	end     func()
	rotated atomic.Bool      // a file of those that its resources name was moved
	more    map[Watch]func() // ends the watch of such a file
}

func newFile(feed Feed, o *FeedsOptions, wake func()) *file {
	r := &file{feed: feed, o: o, sink: o.Hub.From(feed.Source), wake: wake, more: map[Watch]func(){}}
	r.moved.Store(true) // it has not been read yet
	this := Watch{Path: feed.Source.Path}
	if w := feed.Source.Watched; w != "" {
		this = Watch{w, true}
	}
	r.end = r.watch(this, &r.moved)
	return r
}

// watch has a flag set whenever something is moved there.
func (r *file) watch(w Watch, flag *atomic.Bool) (stop func()) {
	watch := r.o.File
	if w.Folder {
		watch = r.o.Folder
	}
	stop, err := watch(w.Path, func() { flag.Store(true); r.wake() })
	if err != nil {
		r.o.Log.Error("a file will not be read again when it changes", "file", r.feed.Source.Path, "watched", w.Path, "error", err)
		return func() {}
	}
	return stop
}

func (r *file) stop() {
	r.end()
	for _, end := range r.more {
		end()
	}
}

// follow reads the file, if it was moved, or if more of it is wanted than before; or, if
// they were moved, those that its resources name.
func (r *file) follow() {
	names := r.sink.Wanted(r.feed.Type)
	switch moved, rotated := r.moved.Swap(false), r.rotated.Swap(false); {
	case moved || !slices.Equal(names, r.names):
		fresh := names
		if !moved {
			fresh = slices.DeleteFunc(slices.Clone(names), func(n string) bool { return slices.Contains(r.names, n) })
		}
		r.names = names
		r.read(fresh)
	case rotated:
		r.refused(r.sink.Reread(r.feed.Type))
	default:
		return
	}
	r.follows()
}

// follows watches what the resources name as they are now. What was moved before it was
// watched is read once more.
func (r *file) follows() {
	now := map[Watch]func(){}
	for _, w := range r.sink.Watches(r.feed.Type) {
		if end, ok := r.more[w]; ok {
			now[w] = end
		} else if now[w] == nil {
			now[w] = r.watch(w, &r.rotated)
			r.rotated.Store(true)
			r.wake()
		}
	}
	for w, end := range r.more {
		if now[w] == nil {
			end()
		}
	}
	r.more = now
}

// read puts the file in force. It is counted for the names for which it is read.
func (r *file) read(names []string) {
	r.sink.Count(r.feed.Type, Attempt, names...)
	all, err := r.o.Read(r.feed.Source.Path)
	if err != nil {
		r.sink.Count(r.feed.Type, Failure, names...)
		r.o.Log.Error("a file of resources is refused; what was in force stays", "type", r.feed.Type, "error", err)
		r.sink.GiveUp(r.feed.Type, r.names...)
		return
	}
	rejected := r.apply(all)
	count(r.sink, r.feed.Type, names, rejected)
	r.refused(rejected)
	r.sink.GiveUp(r.feed.Type, r.names...)
}

func (r *file) refused(why map[string]string) {
	for _, name := range slices.Sorted(maps.Keys(why)) {
		r.o.Log.Error("a file's resource is refused", "file", r.feed.Source.Path, "type", r.feed.Type, "name", name, "error", why[name])
	}
}

// apply puts a file in force. Of all types but clusters and listeners it must hold the one
// resource that is wanted, as in Envoy; if it holds none, what was in force stays, which is
// no error but of secrets.
func (r *file) apply(all *discoveryv3.DiscoveryResponse) (rejected map[string]string) {
	if lists(r.feed.Type) || len(all.GetResources()) == 0 && r.feed.Type != SecretType {
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
			for _, why := range ApplyWorld(r.sink, r.feed.Type, all.GetVersionInfo(), all.GetResources()) {
				rejected[name] = why
			}
		}
	}
	return rejected
}
