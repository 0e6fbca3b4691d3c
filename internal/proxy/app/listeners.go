package app

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	adminv3 "github.com/envoyproxy/go-control-plane/envoy/admin/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"

	"github.com/usher-mesh/usher/internal/proxy/config"
	"github.com/usher-mesh/usher/internal/proxy/listener"
	"github.com/usher-mesh/usher/internal/proxy/strict"
	"github.com/usher-mesh/usher/internal/proxy/takeover"
)

// listeners are the running listeners by name.
type listeners struct {
	o       listener.Options
	sockets *takeover.Sockets
	dry     bool            // compile, but bind nothing
	limit   time.Duration   // of a drain
	halt    <-chan struct{} // ends drains at once

	at atomic.Pointer[func(netip.AddrPort) *listener.Listener] // of those that run

	mu      sync.Mutex
	running map[string]*listener.Listener // with those that drain as part of the whole
	closed  func(*listener.Spec) bool     // which are not bound any more; nil: none
	leaving sync.WaitGroup                // listeners that drain
}

// settle is how long handshakes that are under way have when a listener drains.
const settle = 50 * time.Millisecond

var _ config.Listeners = (*listeners)(nil)

func newListeners(o listener.Options, sockets *takeover.Sockets, limit time.Duration, halt <-chan struct{}) *listeners {
	ls := &listeners{o: o, sockets: sockets, limit: limit, halt: halt, running: map[string]*listener.Listener{}}
	ls.found()
	ls.o.At = func(to netip.AddrPort) *listener.Listener { return (*ls.at.Load())(to) }
	return ls
}

// found has connections find the listeners that run now. The lock is held.
func (ls *listeners) found() {
	at := listener.Addresses(slices.Collect(maps.Values(ls.running)))
	ls.at.Store(&at)
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
	if err := strict.Validate(m); err != nil {
		s.Close()
		return nil, err
	}
	return &prepared{ls, s}, nil
}

// Apply swaps the listener of that name; one whose address changed is bound anew
// before the old one ends.
func (p *prepared) Apply() error {
	ls := p.ls
	if ls.dry {
		p.spec.Close()
		return nil
	}
	ls.mu.Lock()
	defer ls.mu.Unlock()
	old := ls.running[p.spec.Name]
	if old != nil && old.Spec().SameSocket(p.spec) {
		return old.Swap(p.spec)
	}
	if ls.closed != nil && ls.closed(p.spec) {
		p.spec.Close()
		return nil
	}
	ln, err := ls.bind(p.spec)
	if err != nil {
		return fmt.Errorf("listener %s: %w", p.spec.Name, err)
	}
	l := listener.On(p.spec, ln)
	ls.running[p.spec.Name] = l
	ls.found()
	if old != nil {
		ls.leave(old, 0)
	}
	return nil
}

// bind gives the socket of a listener, nil for one that has none. Of two listeners of one
// address, one without a socket, the kernel would not tell. The lock is held.
func (ls *listeners) bind(s *listener.Spec) (net.Listener, error) {
	for name, l := range ls.running {
		if o := l.Spec(); name != s.Name && o.Address == s.Address && (o.Unbound || s.Unbound) {
			return nil, fmt.Errorf("%s is the address of listener %s, too", s.Address, name)
		}
	}
	if s.Unbound {
		return nil, nil
	}
	return ls.sockets.Listen(s.Network, s.Address.String())
}

// Close implements config.Prepared.
func (p *prepared) Close() { p.spec.Close() }

// statuses tells where listeners are bound, as Envoy's /listeners does.
func (ls *listeners) statuses() *adminv3.Listeners {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	out := &adminv3.Listeners{}
	for _, n := range slices.Sorted(maps.Keys(ls.running)) {
		a := ls.running[n].Addr()
		out.ListenerStatuses = append(out.ListenerStatuses, &adminv3.ListenerStatus{Name: n, LocalAddress: &corev3.Address{
			Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
				Address: a.Addr().String(), PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: uint32(a.Port())}}}}})
	}
	return out
}

// connections counts those that are open.
func (ls *listeners) connections() (n uint64) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	for _, l := range ls.running {
		n += uint64(l.Connections())
	}
	return n
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
		ls.found()
		ls.leave(l, 0)
	}
}

// leave lets a listener end in the background. Its socket is free when this returns.
func (ls *listeners) leave(l *listener.Listener, settle time.Duration) {
	l.Stop(settle)
	ls.leaving.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), ls.limit)
		defer cancel()
		go func() {
			select {
			case <-ls.halt:
				cancel()
			case <-ctx.Done():
			}
		}()
		_ = l.Wait(ctx) // what is left is closed
		l.Close()
	})
}

// those gives the running listeners that are chosen. The lock is held.
func (ls *listeners) those(which func(*listener.Spec) bool) (out []*listener.Listener) {
	for _, l := range ls.running {
		if which(l.Spec()) {
			out = append(out, l)
		}
	}
	return out
}

// announce has the clients of those listeners told that they drain.
func (ls *listeners) announce(which func(*listener.Spec) bool) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	for _, l := range ls.those(which) {
		l.Announce()
	}
}

// stop has those listeners drain. What is put in force meanwhile holds for their
// connections, too.
func (ls *listeners) stop(which func(*listener.Spec) bool) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	before := ls.closed
	ls.closed = func(s *listener.Spec) bool { return which(s) || before != nil && before(s) }
	// Those without a socket come last: until then they are handed connections.
	for _, unbound := range []bool{false, true} {
		var all sync.WaitGroup
		for _, l := range ls.those(func(s *listener.Spec) bool { return which(s) && s.Unbound == unbound }) {
			all.Go(func() { ls.leave(l, settle) })
		}
		all.Wait()
	}
}

// drain stops accepting everywhere and waits until all connections have ended, for a
// bounded time.
func (ls *listeners) drain() {
	ls.stop(func(*listener.Spec) bool { return true })
	ls.leaving.Wait()
}
