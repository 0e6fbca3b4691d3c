package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math"
	"os"
	"os/signal"
	"runtime/debug"
	"strconv"
	"syscall"
	"time"

	"github.com/usher-mesh/usher/internal/proxy/admin"
	"github.com/usher-mesh/usher/internal/proxy/app"
	"github.com/usher-mesh/usher/internal/proxy/bootstrap"
	"github.com/usher-mesh/usher/internal/proxy/supervise"
)

// gcPercent is by how much the heap grows between collections. Requests leave little garbage,
// so what collecting more often costs is small: docs/design/0020-memory.md.
const gcPercent = 75

// serve is `usher-proxy -c FILE`.
func serve(args []string) int {
	fs := flag.NewFlagSet("usher-proxy", flag.ContinueOnError)
	fs.Usage = func() { fmt.Fprint(os.Stderr, usage); fs.PrintDefaults() }
	file := fs.String("c", "", "bootstrap `file`")
	fs.StringVar(file, "config-path", "", "the same")
	mode := fs.String("mode", "serve", "serve or validate")
	drain := fs.Uint("drain-time-s", 0, "how long what is in flight may take at the end, in `seconds` (default $TERMINATION_DRAIN_DURATION_SECONDS, or 5)")
	take := fs.String("takeover", "", "Unix `socket`: take over from the proxy that serves there, without a connection lost, and serve there for the next one (Linux)")
	level := fs.String("l", "info", "log `level`: trace, debug, info, warn, error, critical, off")
	fs.StringVar(level, "log-level", "info", "the same")
	if err := fs.Parse(args); err != nil {
		return 2
	}
	if *level == "warn" { // as Envoy takes it, too
		*level = "warning"
	}
	lv, known := admin.Level(*level)
	switch {
	case !known:
		return misused(fs, "-l %s: no level", *level)
	case *file == "":
		return misused(fs, "-c FILE is missing")
	case fs.NArg() > 0:
		return misused(fs, "%q: an argument too many", fs.Arg(0))
	case *mode != "serve" && *mode != "validate":
		return misused(fs, "--mode %s: neither serve nor validate", *mode)
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	b, err := bootstrap.Load(*file)
	if err != nil {
		return fail(err)
	}
	o := app.Options{Bootstrap: b, Takeover: *take, Level: lv, Log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug - 4}))}
	if *mode == "validate" {
		if err := app.Validate(o); err != nil {
			return fail(fmt.Errorf("%s: %w", *file, err))
		}
		fmt.Printf("configuration %q is valid\n", *file)
		return 0
	}
	if o.Drain, err = drainTime(*drain, os.Getenv); err != nil {
		return fail(err)
	}
	ctx, halt := signalled()
	o.Halt = halt
	reopen := make(chan os.Signal, 1)
	signal.Notify(reopen, syscall.SIGUSR1) // as Envoy
	signal.Ignore(syscall.SIGHUP)          // which tools send to have a configuration read again
	o.Reopen = reopen
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

// misused says how the command is used, and at last what was wrong.
func misused(fs *flag.FlagSet, format string, args ...any) int {
	fs.Usage()
	fmt.Fprintf(os.Stderr, "usher-proxy: "+format+"\n", args...)
	return 2
}

// signalled gives a context that ends with the first SIGTERM or SIGINT, and a channel
// that is closed by the second.
func signalled() (context.Context, <-chan struct{}) {
	signals, halt := make(chan os.Signal, 2), make(chan struct{})
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	ctx, end := context.WithCancel(context.Background())
	go func() {
		<-signals
		end()
		<-signals
		close(halt)
	}()
	return ctx, halt
}

// drainTime is how long a drain may take, 0 for the default: the flag, or what Istio's
// agent reads from its environment. As there, EXIT_ON_ZERO_ACTIVE_CONNECTIONS takes the
// bound away. A drain always ends with its last connection.
func drainTime(seconds uint, env func(string) string) (time.Duration, error) {
	const most = 24 * 60 * 60
	d := uint64(seconds)
	if s := env("TERMINATION_DRAIN_DURATION_SECONDS"); d == 0 && s != "" {
		n, err := strconv.ParseUint(s, 10, 32)
		if err != nil {
			return 0, fmt.Errorf("TERMINATION_DRAIN_DURATION_SECONDS: %q is not a number of seconds", s)
		}
		d = n
	}
	if s := env("EXIT_ON_ZERO_ACTIVE_CONNECTIONS"); s != "" {
		unbounded, err := strconv.ParseBool(s)
		if err != nil {
			return 0, fmt.Errorf("EXIT_ON_ZERO_ACTIVE_CONNECTIONS: %q is neither true nor false", s)
		}
		if unbounded {
			return math.MaxInt64, nil
		}
	}
	if d > most {
		return 0, fmt.Errorf("a drain of %d seconds is longer than a day", d)
	}
	return time.Duration(d) * time.Second, nil
}

func fail(err error) int {
	fmt.Fprintln(os.Stderr, "usher-proxy:", err)
	return 1
}
