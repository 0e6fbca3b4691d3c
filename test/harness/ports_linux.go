package harness

import (
	"os"

	"golang.org/x/sys/unix"
)

// reservePort binds a socket and does not listen on it. Whoever names the port can listen
// there as well (both have SO_REUSEADDR, some have SO_REUSEPORT); the kernel gives it to
// nobody who asks for any, and refuses connections as long as nobody listens.
func reservePort() (port int, release func(), err error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, nil, os.NewSyscallError("socket", err)
	}
	release = func() { unix.Close(fd) }
	if err = unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err == nil {
		// Only now: before, the kernel could give a port that another such socket has.
		for _, option := range []int{unix.SO_REUSEADDR, unix.SO_REUSEPORT} {
			if err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, option, 1); err != nil {
				break
			}
		}
	}
	var at unix.Sockaddr
	if err == nil {
		at, err = unix.Getsockname(fd)
	}
	if err != nil {
		release()
		return 0, nil, os.NewSyscallError("bind", err)
	}
	return at.(*unix.SockaddrInet4).Port, release, nil
}
