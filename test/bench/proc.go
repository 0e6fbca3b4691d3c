package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// ticks a second, the unit of times in /proc: USER_HZ, 100 on every architecture
// that Go runs on.
const ticks = 100

// member is one process of a family, as /proc/PID/stat tells (proc(5)).
type member struct {
	pid, parent int
	cpu         time.Duration // user and system, in steps of 10 ms
	started     time.Duration // after the machine's boot, in steps of 10 ms
	resident    int64         // bytes
}

type family []member

// readFamily gives a process and all below it. A process that is not there is an
// error.
func readFamily(pid int) (family, error) {
	first, err := readMember(strconv.Itoa(pid))
	if err != nil {
		return nil, err
	}
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil, err
	}
	children := map[int][]member{}
	for _, p := range stats {
		m, err := readMember(filepath.Base(filepath.Dir(p)))
		if err != nil {
			continue // it has ended in between
		}
		children[m.parent] = append(children[m.parent], m)
	}
	all := family{first}
	for i := 0; i < len(all); i++ {
		all = append(all, children[all[i].pid]...)
	}
	return all, nil
}

func readMember(pid string) (member, error) {
	text, err := os.ReadFile(filepath.Join("/proc", pid, "stat"))
	if err != nil {
		return member{}, err
	}
	return parseStat(string(text))
}

// parseStat reads pid, ppid (4), utime (14), stime (15), starttime (22), rss (24).
func parseStat(text string) (member, error) {
	open, end := strings.IndexByte(text, '('), strings.LastIndexByte(text, ')')
	if open < 0 || end < open {
		return member{}, errors.New("/proc/PID/stat: no name in brackets")
	}
	const name = 2 // fields up to the closing bracket
	f := strings.Fields(text[end+1:])
	if len(f) < 24-name {
		return member{}, fmt.Errorf("/proc/PID/stat: %d fields", len(f)+name)
	}
	var wrong error
	number := func(s string) int64 {
		n, err := strconv.ParseInt(strings.TrimSpace(s), 10, 64)
		wrong = errors.Join(wrong, err)
		return n
	}
	field := func(n int) int64 { return number(f[n-name-1]) }
	const tick = time.Second / ticks
	m := member{
		pid: int(number(text[:open])), parent: int(field(4)),
		cpu:      time.Duration(field(14)+field(15)) * tick,
		started:  time.Duration(field(22)) * tick,
		resident: field(24) * int64(os.Getpagesize()),
	}
	return m, wrong
}

func (f family) cpu() (sum time.Duration) {
	for _, m := range f {
		sum += m.cpu
	}
	return sum
}

func (f family) resident() (sum int64) {
	for _, m := range f {
		sum += m.resident
	}
	return sum
}

// age is how long a process has lived.
func (m member) age() (time.Duration, error) {
	text, err := os.ReadFile("/proc/uptime")
	if err != nil {
		return 0, err
	}
	first, _, _ := strings.Cut(string(text), " ")
	uptime, err := time.ParseDuration(first + "s")
	return uptime - m.started, err
}
