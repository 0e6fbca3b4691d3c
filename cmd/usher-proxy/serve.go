package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/usher-mesh/usher/internal/proxy/app"
	"github.com/usher-mesh/usher/internal/proxy/bootstrap"
	"github.com/usher-mesh/usher/internal/proxy/supervise"
)

// serve is `usher-proxy -c FILE`.
func serve(args []string) int {
	fs := flag.NewFlagSet("usher-proxy", flag.ContinueOnError)
	fs.Usage = func() { fmt.Fprint(os.Stderr, usage); fs.PrintDefaults() }
	file := fs.String("c", "", "bootstrap `file`")
	fs.StringVar(file, "config-path", "", "the same")
	mode := fs.String("mode", "serve", "serve or validate")
	level := fs.String("l", "info", "log `level`: debug, info, warn, error")
	if err := fs.Parse(args); err != nil {
		return 2
	}
	lv := new(slog.LevelVar)
	if err := lv.UnmarshalText([]byte(*level)); err != nil || *file == "" || fs.NArg() > 0 || *mode != "serve" && *mode != "validate" {
		fs.Usage()
		return 2
	}
	b, err := bootstrap.Load(*file)
	if err != nil {
		return fail(err)
	}
	o := app.Options{Bootstrap: b, Level: lv, Log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: lv}))}
	if *mode == "validate" {
		if err := app.Validate(o); err != nil {
			return fail(fmt.Errorf("%s: %w", *file, err))
		}
		fmt.Printf("configuration %q is valid\n", *file)
		return 0
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if n := supervise.NewNotifier(); n != nil {
		var end context.CancelFunc
		ctx, end = context.WithCancel(ctx)
		go func() {
			// Our standard input ends when our supervisor does.
			_, _ = io.Copy(io.Discard, os.Stdin)
			end()
		}()
		o.Notify = func(x app.Notice) {
			if err := n.Send(supervise.Notice(x)); err != nil {
				o.Log.Warn("the supervisor is not told", "error", err)
			}
		}
	}
	if err := app.Run(ctx, o); err != nil {
		return fail(fmt.Errorf("%s: %w", *file, err))
	}
	return 0
}

func fail(err error) int {
	fmt.Fprintln(os.Stderr, "usher-proxy:", err)
	return 1
}
