package xds

import (
	"context"
	"maps"
	"net"
	"slices"
	"time"
)

// server is a feed from a server: a client with a stream for the one type.
type server struct {
	feed   Feed
	sink   FeedSink
	client *Client
	end    context.CancelFunc
	ended  chan struct{}
	waits  map[string]*time.Timer // name -> when nothing waits for it any longer
}

func newServer(ctx context.Context, which Feed, o *FeedsOptions) *server {
	s := &server{feed: which, sink: o.Hub.From(which.Source), ended: make(chan struct{}), waits: map[string]*time.Timer{}}
	s.client = New(Options{
		Addr: which.Source.Cluster, Type: which.Type, World: !which.Source.Delta, Node: o.Node, Sink: s.sink, Log: o.Log, OnRefusal: s.refused, Pauses: serverPauses,
		Dial: func(ctx context.Context) (net.Conn, error) { return o.Dial(ctx, which.Source.Cluster) },
	})
	ctx, s.end = context.WithCancel(ctx)
	go func() {
		defer close(s.ended)
		_ = s.client.Run(ctx) // it ends with ctx
	}()
	return s
}

// follow has the client ask for what is wanted now, and limits how long that is waited for.
func (s *server) follow() {
	names := s.sink.Wanted(s.feed.Type)
	for _, name := range names {
		if s.waits[name] == nil && s.feed.Source.Within > 0 {
			s.waits[name] = time.AfterFunc(s.feed.Source.Within, func() { s.sink.Late(s.feed.Type, name) })
		}
	}
	for name, t := range s.waits {
		if !slices.Contains(names, name) {
			t.Stop()
			delete(s.waits, name)
		}
	}
	s.client.Wake()
}

// refused has nothing wait for what came and was no good; if it is not known what that was,
// for all.
func (s *server) refused(why map[string]string) {
	names := s.sink.Wanted(s.feed.Type)
	bad := slices.DeleteFunc(slices.Sorted(maps.Keys(why)), func(n string) bool { return !slices.Contains(names, n) })
	if len(bad) == 0 {
		bad = names
	}
	s.sink.GiveUp(s.feed.Type, bad...)
}

func (s *server) stop() {
	s.end()
	<-s.ended
	for _, t := range s.waits {
		t.Stop()
	}
}
