package deadline

import "golang.org/x/sys/unix"

// closing asks the kernel, which knows of an end that stands behind unread bytes, and
// wakes who waits when it comes.
func closing(fd int) (ended, done bool) {
	info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil {
		return false, true
	}
	switch info.State {
	case unix.BPF_TCP_CLOSE_WAIT, unix.BPF_TCP_CLOSE, unix.BPF_TCP_LAST_ACK, unix.BPF_TCP_CLOSING:
		return true, true
	}
	return false, false
}
