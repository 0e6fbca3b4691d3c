// Command bench measures usher against its budgets. `bench peers` compares one hop
// through usher-proxy with the same hop through nginx, haproxy and Envoy, side by
// side in one run, and `bench latency` how long requests take at a rate that both can
// serve; `bench start` measures the control plane, the start and the
// memory of a mesh on this machine. It drives built programs as a user would and
// knows nothing of their insides. docs/design/0003-bench.md tells the method.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

const usage = `bench measures usher against its budgets.

  bench peers [flags]   one hop through nginx, haproxy, Envoy and usher-proxy
  bench latency [flags] p50 and p99 of Envoy and usher-proxy at the same rate
  bench alone [flags]   garbage, idle connections and large route tables of usher-proxy
  bench start [flags]   start, memory and propagation of a mesh
`

// errMisuse is what the flag package has explained already.
var errMisuse = errors.New("misuse")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	switch {
	case err == nil:
	case errors.Is(err, errMisuse):
		os.Exit(2)
	default:
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) > 0 {
		switch args[0] {
		case "peers":
			return peers(ctx, args[1:])
		case "latency":
			return latencies(ctx, args[1:])
		case "pace": // the load of `bench latency`, in a process of its own
			return pace(ctx, os.Stdin, os.Stdout)
		case "alone":
			return alone(ctx, args[1:])
		case "start":
			return start(ctx, args[1:])
		}
	}
	fmt.Fprint(os.Stderr, usage)
	return errMisuse
}

// parse reads a part's flags; nothing may follow them.
func parse(f *flag.FlagSet, args []string) error {
	if err := f.Parse(args); err != nil {
		return errMisuse
	}
	if f.NArg() > 0 {
		fmt.Fprintf(f.Output(), "unexpected %q\n", f.Arg(0))
		f.Usage()
		return errMisuse
	}
	return nil
}
