//go:build !linux

package supervise

import "syscall"

// attributes: only Linux has children die with their parent. The sidecar sees the
// end of its standard input instead; a command goes on.
func attributes(group bool) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: group}
}
