package supervise

import (
	"os"
	"strconv"
	"syscall"
)

// closeInherited closes what whoever started us had open besides the standard
// streams: neither the sidecar nor the command is meant to have it, and a pipe that a
// supervisor held would never end. What this program opens by itself is marked
// close-on-exec, and stays.
func closeInherited() error {
	list, err := os.ReadDir("/dev/fd")
	if err != nil {
		return err
	}
	for _, e := range list {
		fd, err := strconv.Atoi(e.Name())
		if err != nil || fd <= 2 {
			continue
		}
		flags, _, errno := syscall.Syscall(syscall.SYS_FCNTL, uintptr(fd), syscall.F_GETFD, 0)
		if errno == 0 && flags&syscall.FD_CLOEXEC == 0 {
			_ = syscall.Close(fd)
		}
	}
	return nil
}
