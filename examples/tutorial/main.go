// Command tutorial is the application of the chapter: three services in one
// program, each of which calls the next.
//
//	tutorial customer        calls preference
//	tutorial preference      calls recommendation
//	tutorial recommendation  answers, and counts its answers
//
// It listens on $PORT (8080) of $ADDRESS (127.0.0.1) and calls through $HTTP_PROXY.
// It knows nothing of tokens, certificates or the mesh: it only passes on the
// headers that belong to a request as it goes from service to service.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"
)

const usage = "usage: tutorial customer|preference|recommendation [-version v1]"

// drain is how long requests in flight may take after SIGTERM.
const drain = 10 * time.Second

func main() {
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	if err := run(log, os.Args[1:], os.Getenv); err != nil {
		if errors.Is(err, errUsage) {
			fmt.Fprintln(os.Stderr, usage)
			os.Exit(2)
		}
		log.Error("tutorial ends", "err", err)
		os.Exit(1)
	}
}

var errUsage = errors.New(usage)

func run(log *slog.Logger, args []string, env func(string) string) error {
	if len(args) == 0 {
		return errUsage
	}
	flags := flag.NewFlagSet(args[0], flag.ContinueOnError)
	version := flags.String("version", "v1", "what recommendation calls itself")
	if err := flags.Parse(args[1:]); err != nil || flags.NArg() > 0 {
		return errUsage
	}
	handler := service(args[0], *version, env)
	if handler == nil {
		return errUsage
	}
	debug.SetMemoryLimit(24 << 20)
	address := net.JoinHostPort(fallback(env("ADDRESS"), "127.0.0.1"), fallback(env("PORT"), "8080"))
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	log.Info("listening", "service", args[0], "address", l.Addr().String())
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	return serve(ctx, l, handler)
}

// service is the handler of a service, nil for a name that is none.
func service(name, version string, env func(string) string) http.Handler {
	switch name {
	case "customer":
		return &caller{name: name, next: "http://preference:8080/", client: newClient()}
	case "preference":
		return &caller{name: name, next: "http://recommendation:8080/", client: newClient()}
	case "recommendation":
		return &counter{version: version, host: fallback(env("HOSTNAME"), "unknown")}
	}
	return nil
}

// serve answers until ctx ends, then lets requests in flight end.
func serve(ctx context.Context, l net.Listener, h http.Handler) error {
	s := &http.Server{
		Handler:           http.MaxBytesHandler(h, maxBody),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
	}
	drained := make(chan error, 1)
	go func() {
		<-ctx.Done()
		ctx, cancel := context.WithTimeout(context.Background(), drain)
		defer cancel()
		drained <- s.Shutdown(ctx)
	}()
	if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return <-drained
}

func fallback(value, otherwise string) string {
	if value == "" {
		return otherwise
	}
	return value
}
