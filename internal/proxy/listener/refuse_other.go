//go:build !linux

package listener

import (
	"errors"
	"syscall"
)

func refuseNew(syscall.Conn) error { return errors.ErrUnsupported }

// queued is not known here.
func queued(syscall.Conn) bool { return false }
