//go:build !linux

package listener

import (
	"errors"
	"syscall"
)

func refuseNew(syscall.Conn) error { return errors.ErrUnsupported }
