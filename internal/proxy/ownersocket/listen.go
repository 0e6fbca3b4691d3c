// Package ownersocket makes Unix sockets that only their owner can open. It knows not
// what is said there.
package ownersocket

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"
)

// Listen makes a socket of mode 0600; network is "unix" or "unixpacket". One that was
// left behind by a proxy that is gone is replaced; one that is in use is an error.
func Listen(network, path string) (*net.UnixListener, error) {
	if c, err := net.DialTimeout(network, path, time.Second); err == nil {
		_ = c.Close()
		return nil, fmt.Errorf("%s: another proxy serves there", path)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
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
