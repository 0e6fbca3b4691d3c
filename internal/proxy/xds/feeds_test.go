package xds_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/usher-mesh/usher/internal/proxy/origin"
	"github.com/usher-mesh/usher/internal/proxy/xds"
)

// disk is a hub, and the files that it names.
type disk struct {
	mu      sync.Mutex
	wants   map[xds.Feed][]string
	files   map[string]*discoveryv3.DiscoveryResponse // nil: cannot be read
	watched map[string]func()
	more    []xds.Watch // that resources name
	bomb    bool        // reading endpoints panics
	told    chan string
}

func newDisk() *disk {
	return &disk{wants: map[xds.Feed][]string{}, files: map[string]*discoveryv3.DiscoveryResponse{}, watched: map[string]func(){}, told: make(chan string, 100)}
}

func (d *disk) Feeds() (out []xds.Feed) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, t := range xds.Types() {
		for f := range d.wants {
			if f.Type == t {
				out = append(out, f)
			}
		}
	}
	return out
}

func (d *disk) From(s origin.Source) xds.FeedSink { return diskSink{d, s} }

type diskSink struct {
	d *disk
	s origin.Source
}

func (s diskSink) Wanted(t string) []string {
	s.d.mu.Lock()
	defer s.d.mu.Unlock()
	return s.d.wants[xds.Feed{Source: s.s, Type: t}]
}

func (diskSink) Versions(string) map[string]string { return nil }

func (s diskSink) Apply(u xds.Update) map[string]string {
	var names []string
	for _, r := range u.Resources {
		names = append(names, r.Name+" "+r.Version)
	}
	s.d.told <- s.s.Path + ": " + strings.Join(names, ", ")
	if slices.Contains(names, "bad 1") {
		return map[string]string{"bad": "it is"}
	}
	return nil
}

func (s diskSink) GiveUp(t string, names ...string) {
	s.d.told <- s.s.Path + " gives up " + strings.Join(names, ", ")
}

func (s diskSink) Late(t, name string) { s.d.told <- name + " is late" }

func (s diskSink) Count(string, xds.Event, ...string) {}

func (s diskSink) Watches(string) []xds.Watch {
	s.d.mu.Lock()
	defer s.d.mu.Unlock()
	return s.d.more
}

func (s diskSink) Reread(string) map[string]string {
	s.d.told <- s.s.Path + " is made anew"
	return nil
}

func (d *disk) read(path string) (*discoveryv3.DiscoveryResponse, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.bomb && path == "/eds" {
		panic("reader")
	}
	if r := d.files[path]; r != nil {
		return r, nil
	}
	return nil, errors.New(path + ": it is bad")
}

func (d *disk) watch(path string, moved func()) (func(), error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.watched[path] = moved
	return func() { d.mu.Lock(); delete(d.watched, path); d.mu.Unlock() }, nil
}

func (d *disk) set(t *testing.T, path, version string, all ...proto.Message) {
	t.Helper()
	r := &discoveryv3.DiscoveryResponse{VersionInfo: version}
	for _, m := range all {
		a, err := anypb.New(m)
		if err != nil {
			t.Fatal(err)
		}
		r.Resources = append(r.Resources, a)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.files[path] = r
}

func (d *disk) want(f xds.Feed, names ...string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.wants[f] = names; len(names) == 0 {
		delete(d.wants, f)
	}
}

func (d *disk) next(t *testing.T, want ...string) {
	t.Helper()
	for _, w := range want {
		select {
		case got := <-d.told:
			if got != w {
				t.Fatalf("%q, want %q", got, w)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("not told %q", w)
		}
	}
}

// TestFileFeeds: a file is read when it is first wanted, when it moves, and when more of it
// is wanted; it is watched as long as it is wanted.
func TestFileFeeds(t *testing.T) {
	d := newDisk()
	f := xds.NewFeeds(xds.FeedsOptions{Hub: d, Read: d.read, File: d.watch, Folder: d.watch})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	clusters := xds.Feed{Source: origin.Source{Path: "/cds"}, Type: xds.ClusterType}
	endpoints := xds.Feed{Source: origin.Source{Path: "/eds", Watched: "/folder"}, Type: xds.EndpointType}
	d.set(t, "/cds", "1", cluster("a"), cluster("b"))
	d.set(t, "/eds", "1", assignment("x"))
	d.want(clusters, xds.Wildcard)
	d.want(endpoints, "x")
	go func() { defer close(done); _ = f.Run(ctx) }()
	d.next(t, "/cds: a 1, b 1", "/cds gives up *", "/eds: x 1", "/eds gives up x")
	moved := func(path string) {
		d.mu.Lock()
		m := d.watched[path]
		d.mu.Unlock()
		m()
	}
	f.Wake() // nothing has moved
	d.set(t, "/cds", "2", cluster("c"))
	moved("/cds")
	d.next(t, "/cds: c 2", "/cds gives up *")
	d.want(endpoints, "w", "x") // a file of one resource is nobody's of another name
	f.Wake()
	d.next(t, "/eds: x 1", "/eds gives up w, x")
	d.set(t, "/eds", "2", assignment("w"), assignment("x"))
	moved("/folder")
	d.next(t, "/eds gives up w, x")
	d.set(t, "/eds", "3")
	moved("/folder")
	d.next(t, "/eds: ", "/eds gives up w, x")
	d.mu.Lock()
	delete(d.files, "/eds")
	d.mu.Unlock()
	moved("/folder")
	d.next(t, "/eds gives up w, x")
	d.mu.Lock()
	d.bomb = true
	d.mu.Unlock()
	moved("/folder") // nothing is told of a fault in us, and the feeds go on
	moved("/cds")
	d.next(t, "/cds: c 2", "/cds gives up *")
	d.want(endpoints)
	moved("/cds") // so that it is known when the other has ended
	d.next(t, "/cds: c 2", "/cds gives up *")
	d.mu.Lock()
	if len(d.watched) != 1 {
		t.Errorf("%d are watched", len(d.watched))
	}
	d.mu.Unlock()
	cancel()
	<-done
	if len(d.watched) != 0 || len(d.told) != 0 {
		t.Errorf("%d are watched, %d told", len(d.watched), len(d.told))
	}
}

func assignment(name string) proto.Message {
	return &endpointv3.ClusterLoadAssignment{ClusterName: name}
}

// TestFilesWithin: what the resources of a file name is watched as long as they do, and read
// again once that is so, and when it is moved; the file itself is not.
func TestFilesWithin(t *testing.T) {
	d := newDisk()
	feed := xds.Feed{Source: origin.Source{Path: "/sds"}, Type: xds.SecretType}
	d.set(t, "/sds", "1", &tlsv3.Secret{Name: "s"})
	d.want(feed, "s")
	d.more = []xds.Watch{{Path: "/cert"}, {Path: "/folder", Folder: true}, {Path: "/cert"}}
	f := xds.NewFeeds(xds.FeedsOptions{Hub: d, Read: d.read, File: d.watch, Folder: d.watch})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = f.Run(ctx) }()
	d.next(t, "/sds: s 1", "/sds gives up s", "/sds is made anew")
	moved := func(path string) {
		t.Helper()
		d.mu.Lock()
		m := d.watched[path]
		d.mu.Unlock()
		if m == nil {
			t.Fatalf("%s is not watched", path)
		}
		m()
	}
	d.set(t, "/sds", "2", &tlsv3.Secret{Name: "s"})
	moved("/cert")
	d.next(t, "/sds is made anew")
	moved("/folder")
	d.next(t, "/sds is made anew")
	d.mu.Lock()
	d.more = []xds.Watch{{Path: "/cert"}}
	d.mu.Unlock()
	moved("/sds")
	d.next(t, "/sds: s 2", "/sds gives up s")
	moved("/cert")
	d.next(t, "/sds is made anew")
	d.mu.Lock()
	if d.watched["/folder"] != nil || len(d.watched) != 2 {
		t.Errorf("%d are watched", len(d.watched))
	}
	d.mu.Unlock()
	cancel()
	<-done
	if len(d.watched) != 0 || len(d.told) != 0 {
		t.Errorf("%d are watched, %d told", len(d.watched), len(d.told))
	}
}
