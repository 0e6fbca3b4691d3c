package standalone

import (
	"fmt"
	"syscall"
)

// minFiles is the least limit of open files. A mesh without workloads has some 110
// open, etcd alone refuses to start with fewer than 150 free ones.
const minFiles = 256

// enoughFiles refuses a start that would fail somewhere later, by whatever part needs
// the next file. Go has raised the soft limit to the hard one already.
func enoughFiles() error {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return fmt.Errorf("limit of open files: %w", err)
	}
	if l.Cur < minFiles {
		return fmt.Errorf("the limit of open files is %d here (`ulimit -Hn`): a mesh needs at least %d", l.Cur, minFiles)
	}
	return nil
}
