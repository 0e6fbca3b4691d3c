package admin

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// Server serves one or both of the interfaces.
type Server struct {
	servers []*http.Server
	done    chan error
}

// Start listens on addr ("ip:port"; "": not) for everybody and on the Unix socket
// ("": not) for the owner.
func Start(addr, socket string, o Options) (*Server, error) {
	s := &Server{done: make(chan error, 2)}
	if addr != "" {
		l, err := net.Listen("tcp", addr)
		if err != nil {
			return nil, fmt.Errorf("admin: %w", err)
		}
		s.serve(l, Public(o), 10*time.Second)
	}
	if socket != "" {
		l, err := listenUnix(socket)
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

// listenUnix makes a socket that only its owner can open. One that was left behind
// by a proxy that is gone is replaced; one that is in use is an error.
func listenUnix(path string) (net.Listener, error) {
	if c, err := net.DialTimeout("unix", path, time.Second); err == nil {
		_ = c.Close()
		return nil, fmt.Errorf("%s: another proxy serves there", path)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	// The socket is made with the mode that it keeps: made under another name in
	// a folder of our own, then moved.
	dir, err := os.MkdirTemp(filepath.Dir(path), ".s")
	if err != nil {
		return nil, err
	}
	defer os.Remove(dir)
	tmp := dir + "/s"
	l, err := net.Listen("unix", tmp)
	if err != nil {
		return nil, err
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	err = os.Chmod(tmp, 0o600)
	if err == nil {
		err = os.Rename(tmp, path)
	}
	if err != nil {
		return nil, errors.Join(err, l.Close(), os.Remove(tmp))
	}
	return l, nil
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
		if err := <-s.done; !errors.Is(err, http.ErrServerClosed) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
