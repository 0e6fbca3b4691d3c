package supervise

import (
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"syscall"

	"github.com/usher-mesh/usher/internal/footprint"
	"github.com/usher-mesh/usher/internal/home"
)

// Command is `usher-proxy supervise`: it gives the exit status.
func Command(args []string) int {
	fs := flag.NewFlagSet("usher-proxy supervise", flag.ContinueOnError)
	fs.SetOutput(os.Stderr)
	dir := fs.String("dir", "", "the workload's `folder`, with workload.json in it")
	detached := fs.Bool("detached", isDetached(), "write the command's output to its log")
	if err := fs.Parse(args); err != nil {
		return Failed
	}
	if *dir == "" || fs.NArg() > 0 {
		fmt.Fprintln(os.Stderr, "usher-proxy supervise: want --dir FOLDER and nothing else")
		return Failed
	}
	if err := closeInherited(); err != nil {
		fmt.Fprintln(os.Stderr, "usher-proxy supervise: inherited files:", err)
		return Failed
	}
	// One thread's worth of caches is enough for a process that waits.
	runtime.GOMAXPROCS(1)
	debug.SetGCPercent(25)

	sigs := make(chan os.Signal, 16)
	signal.Notify(sigs, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGWINCH)
	exe, err := os.Executable()
	if err != nil {
		fmt.Fprintln(os.Stderr, "usher-proxy supervise:", err)
		return Failed
	}
	code, err := Run(Options{
		Dir: home.WorkloadDir(*dir), Proxy: exe, Detached: *detached,
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Signals: sigs,
		Log: slog.New(slog.NewTextHandler(logWriter(*detached), nil)), Settled: footprint.Trim,
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, "usher-proxy supervise:", err)
	}
	return code
}

// logWriter: in the foreground our own log would stand amid the command's output.
func logWriter(detached bool) io.Writer {
	if detached {
		return os.Stderr
	}
	return io.Discard
}

// isDetached tells whether we lead a session and have nothing to read from: whoever
// started us did not mean to stay.
func isDetached() bool {
	sid, _, errno := syscall.Syscall(syscall.SYS_GETSID, 0, 0, 0)
	if errno != 0 || int(sid) != os.Getpid() || os.Getpid() == 1 {
		return false
	}
	in, err1 := os.Stdin.Stat()
	null, err2 := os.Stat(os.DevNull)
	return err1 != nil || err2 == nil && os.SameFile(in, null)
}
