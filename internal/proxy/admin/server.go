package admin

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"
)

// Server serves the interface at one address or more.
type Server struct {
	servers []*http.Server
	done    chan error
}

// Start listens on each address: "ip:port" of loopback, for what Options.Allow allows, or
// the path of a Unix socket, for its owner. Listen makes sockets, Unix ones with mode 0600.
func Start(addresses []string, listen func(network, address string) (net.Listener, error), o Options) (*Server, error) {
	s := &Server{done: make(chan error, len(addresses))}
	h := Handler(o)
	for _, a := range addresses {
		l, tcp, err := socket(a, listen)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("admin: %w", err), s.Close())
		}
		s.serve(&limited{Listener: l, free: make(chan struct{}, maxConnections)}, newGuard(h, tcp, o.Allow))
	}
	return s, nil
}

func socket(address string, listen func(network, address string) (net.Listener, error)) (l net.Listener, tcp bool, err error) {
	ip, err := netip.ParseAddrPort(address)
	if err != nil {
		l, err = listen("unix", address)
		return l, false, err
	}
	if !ip.Addr().IsLoopback() {
		return nil, true, fmt.Errorf("%s is not an address of loopback", address)
	}
	l, err = listen("tcp", address)
	return l, true, err
}

func (s *Server) serve(l net.Listener, h http.Handler) {
	srv := &http.Server{
		Handler: h, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, // the handler bounds the answer
		IdleTimeout: 30 * time.Second, MaxHeaderBytes: 16 << 10,
	}
	s.servers = append(s.servers, srv)
	go func() { s.done <- srv.Serve(l) }()
}

// limited closes connections beyond a number.
type limited struct {
	net.Listener
	free chan struct{}
}

// Accept implements net.Listener.
func (l *limited) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		select {
		case l.free <- struct{}{}:
			return &releasing{Conn: c, free: l.free}, nil
		default:
			c.Close()
		}
	}
}

type releasing struct {
	net.Conn
	free chan struct{}
	once sync.Once
}

// Close implements net.Conn.
func (c *releasing) Close() error {
	c.once.Do(func() { <-c.free })
	return c.Conn.Close()
}

// Close ends it everywhere, giving answers that are being written a moment.
func (s *Server) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
	defer cancel()
	var errs []error
	for _, srv := range s.servers {
		if err := srv.Shutdown(ctx); err != nil {
			errs = append(errs, srv.Close())
		}
		// A successor may have the socket by now.
		if err := <-s.done; !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
