//go:build !linux

package filewatch

import (
	"errors"
	"fmt"
)

// kernel does not exist here.
type kernel struct{}

func open() (*kernel, error) {
	return nil, fmt.Errorf("files are watched on Linux alone: %w", errors.ErrUnsupported)
}

func (*kernel) watch(string) (int, error) { return 0, errors.ErrUnsupported }
func (*kernel) unwatch(int)               {}
func (*kernel) read(func(event))          {}
func (*kernel) close() error              { return nil }
