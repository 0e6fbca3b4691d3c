package footprint

import (
	"bufio"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// dropText unmaps the pages of the executable's read-only segments, which are clean
// and private, and of files that are mapped shared to be read, such as a database: in
// both cases nothing is lost. Failure costs memory alone and is not told.
func dropText() {
	exe, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return
	}
	f, err := os.Open("/proc/self/maps")
	if err != nil {
		return
	}
	defer f.Close()
	for sc := bufio.NewScanner(f); sc.Scan(); {
		// 00400000-00c05000 r-xp 00000000 fe:00 9978086    /path
		parts := strings.Fields(sc.Text())
		if len(parts) != 6 || parts[1][0] != 'r' || parts[1][1] != '-' {
			continue
		}
		if shared := parts[1][3] == 's' && parts[5][0] == '/'; parts[5] != exe && !shared {
			continue
		}
		from, to, _ := strings.Cut(parts[0], "-")
		a, err1 := strconv.ParseUint(from, 16, 64)
		b, err2 := strconv.ParseUint(to, 16, 64)
		if err1 != nil || err2 != nil || b <= a {
			continue
		}
		madvise(uintptr(a), uintptr(b-a))
	}
}

func madvise(addr, length uintptr) {
	_, _, _ = syscall.Syscall(syscall.SYS_MADVISE, addr, length, syscall.MADV_DONTNEED)
}

// Resident gives the process's resident memory in bytes, 0 if it is not known.
func Resident() uint64 {
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	f := strings.Fields(string(b))
	if len(f) < 2 {
		return 0
	}
	pages, err := strconv.ParseUint(f[1], 10, 64)
	if err != nil {
		return 0
	}
	return pages * uint64(os.Getpagesize())
}
