package app

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	securityv1alpha1 "istio.io/api/security/v1alpha1"

	"github.com/usher-mesh/usher/internal/control/ca"
	"github.com/usher-mesh/usher/internal/identity"
)

// drain is how long answers under way have at a stop.
const drain = 2 * time.Second

func (p *plane) serveCA(ctx context.Context) error {
	creds := credentials.NewTLS(identity.ServerTLSOptionalClient(p.own))
	s := grpc.NewServer(append(ca.GRPCOptions(), grpc.Creds(creds))...)
	securityv1alpha1.RegisterIstioCertificateServiceServer(s, ca.NewService(p.authority, p.reviewer, p.o.Log.With("part", "ca")))
	stop := context.AfterFunc(ctx, func() {
		hard := time.AfterFunc(drain, s.Stop)
		defer hard.Stop()
		s.GracefulStop()
	})
	defer stop()
	return s.Serve(p.o.CA)
}

func (p *plane) serveMirror(ctx context.Context) error {
	cfg := identity.ServerTLS(p.own, nil)
	cfg.NextProtos = []string{"h2", "http/1.1"}
	return p.serveHTTP(ctx, "mirror", tls.NewListener(p.o.Mirror, cfg), p.mirror.Handler())
}

func (p *plane) serveIssuer(ctx context.Context) error {
	return p.serveHTTP(ctx, "issuer", p.o.Issuer, p.issuer.Handler())
}

// serveHTTP serves until ctx ends, then lets answers under way end.
func (p *plane) serveHTTP(ctx context.Context, part string, l net.Listener, h http.Handler) error {
	s := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(p.o.Log.With("part", part).Handler(), slog.LevelDebug),
	}
	stopped := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(stopped)
		limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain)
		defer cancel()
		if s.Shutdown(limit) != nil {
			_ = s.Close() // what did not end in time
		}
	})
	err := s.Serve(l)
	if !stop() {
		<-stopped
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}
