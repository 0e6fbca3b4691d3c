// Package supervise runs one local workload: its sidecar and its command, or a
// gateway's proxy alone. It owns their processes, their environment and the
// workload's state file. It imports nothing of Envoy, gRPC or HTTP and keeps
// hardly any memory, since there is one supervisor a workload.
package supervise

import (
	"log/slog"
	"os"
	"time"

	"github.com/usher-mesh/usher/internal/home"
)

// Failed is the exit status of failures of the supervisor's own.
const Failed = 125

// Options say which workload, and how.
type Options struct {
	Dir home.WorkloadDir
	// Proxy is the program to run as sidecar: this one.
	Proxy string
	// Detached: the command's output goes to its log, not to ours.
	Detached bool
	Stdin    *os.File
	Stdout   *os.File
	Stderr   *os.File
	Signals  <-chan os.Signal
	Log      *slog.Logger
	// Settled, if set, is called when the workload runs.
	Settled func()
}

// How long things may take.
const (
	lockPatience = time.Second // a look at the lock takes it for a moment
	appGrace     = 4 * time.Second
	proxyGrace   = 6 * time.Second // more than a drain takes
	quickDeath   = time.Second     // a process that dies sooner is restarted with a pause
	minPause     = 100 * time.Millisecond
	maxPause     = 5 * time.Second
	portPeriod   = 10 * time.Millisecond
	maxLog       = 16 << 20 // bytes, beyond which a log is put aside at a start
)
