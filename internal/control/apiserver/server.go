package apiserver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/usher-mesh/usher/internal/control/apiserver/etcd"
	"github.com/usher-mesh/usher/internal/control/apiserver/pki"
)

// Server is a running API server and its etcd.
type Server struct {
	url   string
	files *pki.Files
	log   *slog.Logger
	etcd  *etcd.Member

	stop       context.CancelCauseFunc // ends the API server
	running    sync.WaitGroup          // the API server
	stopKeeper context.CancelFunc      // ends its clients here
	keeping    sync.WaitGroup
	done       chan struct{}
	mu         sync.Mutex
	err        error
	closed     bool
}

// Start opens the data, starts etcd and the API server, and returns when requests
// can be served: every CRD is established, and the namespaces default and
// istio-system are there. ctx bounds the start alone. An error names the folder or
// file that is at fault; nothing is left running then and the listener is closed.
func Start(ctx context.Context, o Options) (*Server, error) {
	if err := o.check(); err != nil {
		if o.Listener != nil {
			o.Listener.Close()
		}
		return nil, err
	}
	life, stop := context.WithCancelCause(context.WithoutCancel(ctx))
	s := &Server{
		url:        "https://" + o.Listener.Addr().String(),
		log:        o.Log,
		stop:       stop,
		stopKeeper: func() {},
		done:       make(chan struct{}),
	}
	routeKlog(o.Log, s.fail)
	// A failure while it starts ends the start.
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(life, func() { cancel(context.Cause(life)) })()

	if err := s.start(ctx, life, o); err != nil {
		if cause := s.Err(); cause != nil {
			err = cause
		}
		s.Close()
		o.Listener.Close()
		return nil, fmt.Errorf("API server: %w", err)
	}
	return s, nil
}

func (s *Server) start(ctx, life context.Context, o Options) (err error) {
	if s.files, err = pki.Load(o.PKIDir, time.Now()); err != nil {
		return err
	}
	if s.etcd, err = etcd.Start(ctx, o.EtcdDir, o.SocketDir, o.Log); err != nil {
		return err
	}
	go s.watchEtcd(life)
	return s.serve(ctx, life, o)
}

func (s *Server) watchEtcd(life context.Context) {
	select {
	case <-s.etcd.Done():
		s.fail(s.etcd.Err())
	case <-life.Done():
	}
}

// fail ends the server with err, unless it ends already.
func (s *Server) fail(err error) {
	s.mu.Lock()
	first := s.err == nil && !s.closed
	if first {
		s.err = err
	}
	s.mu.Unlock()
	if first {
		s.log.Error("API server failed", "error", err)
		go s.shut(err)
	}
}

// Done is closed when the server has ended, by Close or by a failure.
func (s *Server) Done() <-chan struct{} { return s.done }

// Err is why the server ended; nil while it runs and after an orderly Close.
func (s *Server) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

var errClosed = errors.New("the API server was closed")

// Close ends the API server, then etcd, and returns when both have ended, with the
// failure that ended them before, if any. It may be called more than once.
func (s *Server) Close() error {
	s.mu.Lock()
	first := s.err == nil && !s.closed
	s.closed = true
	s.mu.Unlock()
	if first {
		s.shut(errClosed)
	}
	<-s.done
	return s.Err()
}

// shut ends the clients here, the API server, and etcd, in this order.
func (s *Server) shut(cause error) {
	s.mu.Lock()
	stopKeeper := s.stopKeeper
	s.mu.Unlock()
	stopKeeper()
	s.keeping.Wait()
	s.stop(cause)
	s.running.Wait()
	if s.etcd != nil {
		s.etcd.Close()
	}
	close(s.done)
}
