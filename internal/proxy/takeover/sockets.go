package takeover

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/usher-mesh/usher/internal/proxy/ownersocket"
)

// Sockets are the listening sockets of a proxy. The zero value takes over from nobody.
type Sockets struct {
	mu   sync.Mutex
	open map[string]*socket // that can be passed on
	from *predecessor       // nil: none
	left bool               // to a successor
}

// socket is a listening socket that may be shared with another process for a while: the
// one that it came from, or the one that it goes to.
type socket struct {
	listening
	name   string
	of     *Sockets
	from   <-chan struct{} // closed when the predecessor has left; nil: there was none
	lent   bool            // to a successor; guarded by of.mu
	closed chan struct{}
	once   sync.Once
}

// listening is what *net.TCPListener and *net.UnixListener have in common.
type listening interface {
	net.Listener
	syscall.Conn
	SetDeadline(time.Time) error
}

// Listen gives the predecessor's socket of that network ("tcp", "tcp4", "tcp6",
// "unix", "unixpacket") and address, or a new one: of mode 0600 if it is a Unix socket. As long as one is open
// here it is not given again: two that accept from one queue would take each other's
// connections. A port that is chosen by the kernel is never passed on.
func (s *Sockets) Listen(network, address string) (net.Listener, error) {
	x := &socket{name: network + " " + address, of: s, closed: make(chan struct{})}
	chosen := strings.HasPrefix(network, "tcp") && strings.HasSuffix(address, ":0")
	if s.from != nil && !chosen && !s.has(x.name) {
		l, err := s.from.socket(x.name)
		if err != nil {
			return nil, err
		}
		if l != nil {
			x.listening, x.from = l, s.from.left
		}
	}
	if x.listening == nil {
		l, err := bind(network, address)
		if err != nil {
			return nil, err
		}
		x.listening = l
	}
	if !chosen {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.open == nil {
			s.open = map[string]*socket{}
		}
		s.open[x.name] = x
	}
	return x, nil
}

func (s *Sockets) has(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.open[name] != nil
}

func bind(network, address string) (listening, error) {
	if !strings.HasPrefix(network, "tcp") {
		return ownersocket.Listen(network, address)
	}
	l, err := net.Listen(network, address)
	if err != nil {
		return nil, err
	}
	return l.(listening), nil
}

// Accept waits until the predecessor has left the socket.
func (x *socket) Accept() (net.Conn, error) {
	if x.from != nil {
		select {
		case <-x.from:
		case <-x.closed:
			return nil, fmt.Errorf("accept %s: %w", x.name, net.ErrClosed)
		}
	}
	return x.listening.Accept()
}

// Retire is called before the socket is closed: it is not passed on any more. It tells
// whether another process has it, too, which goes on with what waits in it.
func (x *socket) Retire() (shared bool) {
	x.of.mu.Lock()
	defer x.of.mu.Unlock()
	if x.of.open[x.name] == x {
		delete(x.of.open, x.name)
	}
	if x.from != nil {
		select {
		case <-x.from:
		default:
			return true
		}
	}
	return x.lent
}

func (x *socket) Close() error {
	x.Retire()
	x.once.Do(func() { close(x.closed) })
	return x.listening.Close()
}

// lend gives a socket to be passed on, nil if there is none of that name.
func (s *Sockets) lend(name string) syscall.Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	x := s.open[name]
	if x == nil {
		return nil
	}
	x.lent = true
	return x.listening
}

// keep takes back what was lent: whom it was lent to is gone.
func (s *Sockets) keep() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, x := range s.open {
		x.lent = false
	}
}

// Left tells whether a successor has taken over.
func (s *Sockets) Left() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.left
}

// leave closes what was lent. What waits there is the successor's.
func (s *Sockets) leave() error {
	s.mu.Lock()
	s.left = true
	var lent []*socket
	for _, x := range s.open {
		if x.lent {
			lent = append(lent, x)
		}
	}
	s.mu.Unlock()
	var errs []error
	for _, x := range lent {
		errs = append(errs, x.Close())
	}
	return errors.Join(errs...)
}
