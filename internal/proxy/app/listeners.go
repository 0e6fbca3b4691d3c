package app

import (
	"context"
	"sync"

	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"

	"github.com/usher-mesh/usher/internal/proxy/config"
	"github.com/usher-mesh/usher/internal/proxy/listener"
)

// listeners are the running listeners by name.
type listeners struct {
	o   listener.Options
	dry bool // compile, but bind nothing

	mu      sync.Mutex
	running map[string]*listener.Listener
	closed  bool
	leaving sync.WaitGroup // listeners that drain
}

var _ config.Listeners = (*listeners)(nil)

func newListeners(o listener.Options) *listeners {
	return &listeners{o: o, running: map[string]*listener.Listener{}}
}

type prepared struct {
	ls   *listeners
	spec *listener.Spec
}

// Compile judges a listener.
func (ls *listeners) Compile(m *listenerv3.Listener) (config.Prepared, error) {
	s, err := listener.Compile(m, ls.o)
	if err != nil {
		return nil, err
	}
	return &prepared{ls, s}, nil
}

// Apply swaps the listener of that name; one whose address changed is bound anew
// before the old one ends.
func (p *prepared) Apply() error {
	ls := p.ls
	if ls.dry {
		return nil
	}
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if ls.closed {
		return nil
	}
	old := ls.running[p.spec.Name]
	if old != nil && old.Spec().Address == p.spec.Address {
		return old.Swap(p.spec)
	}
	l, err := listener.New(p.spec)
	if err != nil {
		return err
	}
	ls.running[p.spec.Name] = l
	if old != nil {
		ls.leave(old)
	}
	return nil
}

// Rejudge has the open connections of all listeners judged again.
func (ls *listeners) Rejudge() {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	for _, l := range ls.running {
		l.Rejudge()
	}
}

// Remove ends a listener; its socket is closed when this returns.
func (ls *listeners) Remove(name string) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if l := ls.running[name]; l != nil {
		delete(ls.running, name)
		ls.leave(l)
	}
}

// leave lets a listener end in the background. Its socket is free at once.
func (ls *listeners) leave(l *listener.Listener) {
	ctx, cancel := context.WithTimeout(context.Background(), drainFor)
	stopped := make(chan struct{})
	ls.leaving.Go(func() {
		defer cancel()
		none, end := context.WithCancel(ctx)
		end()
		_ = l.Drain(none) // stops accepting; in flight goes on
		close(stopped)
		_ = l.Drain(ctx) // what is left is closed below
		l.Close()
	})
	<-stopped
}

// drain stops accepting everywhere and waits until requests in flight have ended,
// for a bounded time.
func (ls *listeners) drain() {
	ls.mu.Lock()
	for n, l := range ls.running {
		delete(ls.running, n)
		ls.leave(l)
	}
	ls.closed = true
	ls.mu.Unlock()
	ls.leaving.Wait()
}
