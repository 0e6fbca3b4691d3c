package admin

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"
)

// Server serves one or both of the interfaces.
type Server struct {
	servers []*http.Server
	done    chan error
}

// Start listens on addr ("ip:port"; "": not) for everybody and on the Unix socket
// ("": not) for the owner.
func Start(addr, socket string, listen func(network, address string) (net.Listener, error), o Options) (*Server, error) {
	s := &Server{done: make(chan error, 2)}
	if addr != "" {
		l, err := listen("tcp", addr)
		if err != nil {
			return nil, fmt.Errorf("admin: %w", err)
		}
		s.serve(l, Public(o), 10*time.Second)
	}
	if socket != "" {
		l, err := listen("unix", socket)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("admin: %w", err), s.Close())
		}
		s.serve(l, Private(o), 0) // profiles take their time
	}
	return s, nil
}

func (s *Server) serve(l net.Listener, h http.Handler, write time.Duration) {
	srv := &http.Server{
		Handler: h, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second,
		WriteTimeout: write, IdleTimeout: 30 * time.Second, MaxHeaderBytes: 16 << 10,
	}
	s.servers = append(s.servers, srv)
	go func() { s.done <- srv.Serve(l) }()
}

// Close ends both, giving answers that are being written a moment.
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
