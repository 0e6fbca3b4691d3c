package overload

import (
	"errors"
	"fmt"
	"os"
	"path"
	"strconv"
	"strings"
)

// cgroup is where the memory of this process's control group is told, in bytes.
type cgroup struct{ usage, limit string }

// findCgroup finds the files of version 2, or of version 1: of the group that the
// process is in, or as they are mounted in a container.
func findCgroup(root, self string) (*cgroup, error) {
	b, err := os.ReadFile(self)
	if err != nil {
		return nil, fmt.Errorf("no control group of memory: %w", err)
	}
	for l := range strings.Lines(string(b)) { // 0::/a/b, or 5:memory:/a/b
		parts := strings.SplitN(strings.TrimSpace(l), ":", 3)
		if len(parts) != 3 {
			continue
		}
		dir, usage, limit := root, "memory.current", "memory.max"
		if parts[0] != "0" {
			if parts[1] != "memory" {
				continue
			}
			dir, usage, limit = path.Join(root, "memory"), "memory.usage_in_bytes", "memory.limit_in_bytes"
		}
		for _, d := range []string{path.Join(dir, path.Clean("/"+parts[2])), dir} {
			g := &cgroup{path.Join(d, usage), path.Join(d, limit)}
			if _, err := os.Stat(g.usage); err == nil {
				return g, nil
			}
		}
	}
	return nil, errors.New("no control group of memory")
}

// unlimited is what version 1 says where there is no limit, or more.
const unlimited = 1 << 62

// bytes reads a file; "max" is 0.
func (g *cgroup) bytes(file string) (uint64, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	s := strings.TrimSpace(string(b))
	if s == "max" {
		return 0, nil
	}
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", file, err)
	}
	if n >= unlimited {
		n = 0
	}
	return n, nil
}

// pressure is what is used of the limit, or of most if that is less (0: no bound).
func (g *cgroup) pressure(most uint64) (float64, error) {
	limit, err := g.bytes(g.limit)
	if err != nil {
		return 0, err
	}
	if limit == 0 || most > 0 && most < limit {
		limit = most
	}
	if limit == 0 {
		return 0, nil
	}
	used, err := g.bytes(g.usage)
	return float64(used) / float64(limit), err
}
