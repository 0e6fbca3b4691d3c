// Package app puts the proxy together: which filters there are, where identity,
// keys and configuration come from, and in which order it starts and ends. It
// holds no logic of its own.
package app

import (
	"log/slog"
	"os"
	"time"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
)

// Options say what to run.
type Options struct {
	Bootstrap *bootstrapv3.Bootstrap
	// Notify, if set, is told how the proxy is whenever that changes.
	Notify func(Notice)
	// Drain bounds how long requests and connections in flight may take at the end, by
	// default 5 s, as Istio's terminationDrainDuration; Halt ends them at once (nil: nothing does).
	Drain time.Duration
	Halt  <-chan struct{}
	// Reopen has the access logs opened anew; nil: nothing does.
	Reopen <-chan os.Signal
	// Takeover is the Unix socket at which a successor may take over, and at which this
	// proxy takes over first if another one serves there; "": neither.
	Takeover string
	// Level is the one that all loggers begin with. Log itself lets everything pass.
	Level slog.Level
	Log   *slog.Logger
}

// Notice is how the proxy is.
type Notice struct {
	Ready  bool
	Config string // digest of the resources in force
	Acked  bool   // the control plane is there and was answered
	// Refused says why a listener does not serve, "" if all do.
	Refused string
}

const defaultDrain = 5 * time.Second

// trimAfter is when what only the start needed is given back.
const trimAfter = time.Second
