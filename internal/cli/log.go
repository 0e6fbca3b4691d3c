package cli

import (
	"log/slog"

	"github.com/usher-mesh/usher/internal/home"
)

// openLog gives the control plane's log, a file of the home.
func openLog(h home.Dir) (*slog.Logger, func(), error) {
	f, err := logFile(h)
	if err != nil {
		return nil, nil, err
	}
	return slog.New(slog.NewTextHandler(f, nil)), func() { f.Close() }, nil
}
