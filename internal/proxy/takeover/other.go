//go:build !linux

package takeover

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
)

var errUnsupported = fmt.Errorf("proxies take over from each other on Linux alone: %w", errors.ErrUnsupported)

// predecessor does not exist here.
type predecessor struct{ left chan struct{} }

func (*predecessor) socket(string) (listening, error) { return nil, errUnsupported }

// Ask is not supported.
func (*Sockets) Ask(string) error { return errUnsupported }

// Taking tells that there is no predecessor.
func (*Sockets) Taking() bool { return false }

// Take has nothing to do.
func (*Sockets) Take() error { return nil }

// GiveUp has nothing to do.
func (*Sockets) GiveUp() {}

// Serve is not supported.
func (*Sockets) Serve(string, *slog.Logger, func()) (io.Closer, error) { return nil, errUnsupported }
