// Package ownersocket makes Unix sockets that only their owner can open. It knows not
// what is said there.
package ownersocket

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// Listen makes a socket of mode 0600; network is "unix" or "unixpacket". One that was
// left behind by a proxy that is gone is replaced; one that is in use is an error.
func Listen(network, path string) (*net.UnixListener, error) {
	if err := vacate(network, path); err != nil {
		return nil, err
	}
	// The socket is made with the mode that it keeps: made under another name in
	// a folder of our own, then moved.
	dir, err := os.MkdirTemp(filepath.Dir(path), ".s")
	if err != nil {
		return nil, err
	}
	defer os.Remove(dir)
	tmp := dir + "/s"
	l, err := net.ListenUnix(network, &net.UnixAddr{Net: network, Name: tmp})
	if err != nil {
		return nil, err
	}
	l.SetUnlinkOnClose(false)
	err = os.Chmod(tmp, 0o600)
	if err == nil {
		err = os.Rename(tmp, path)
	}
	if err != nil {
		return nil, errors.Join(err, l.Close(), os.Remove(tmp))
	}
	return l, nil
}

// vacate removes a socket that nobody serves. All else stays, and is an error: a server
// that is too busy to answer, and what is no socket.
func vacate(network, path string) error {
	c, err := net.DialTimeout(network, path, time.Second)
	switch {
	case err == nil:
		_ = c.Close()
		return fmt.Errorf("%s: another proxy serves there", path)
	case errors.Is(err, os.ErrNotExist):
		return nil
	case !errors.Is(err, syscall.ECONNREFUSED):
		return err
	}
	fi, err := os.Lstat(path)
	if err == nil && fi.Mode().Type() != os.ModeSocket {
		err = fmt.Errorf("%s: no socket: %w", path, os.ErrExist)
	}
	if err == nil {
		err = os.Remove(path)
	}
	if errors.Is(err, os.ErrNotExist) {
		return nil // removed meanwhile
	}
	return err
}
