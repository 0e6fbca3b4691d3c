package dns

import (
	"bufio"
	"io"
	"net/netip"
	"os"
	"strconv"
	"strings"
)

// Search is how names are completed.
type Search struct {
	Domains []string // without their last dot
	Dots    int      // names with so many are asked for as they are first
}

// names gives the full names that a name may mean, in order.
func (s Search) names(name string) []string {
	if strings.HasSuffix(name, ".") {
		return []string{name}
	}
	var out []string
	for _, d := range s.Domains {
		out = append(out, name+"."+d+".")
	}
	if strings.Count(name, ".") >= s.Dots {
		return append([]string{name + "."}, out...)
	}
	return append(out, name+".")
}

// System reads the servers and the domains that the machine is set to (resolv.conf). A file
// that cannot be read has none.
func System(file string) (servers []netip.AddrPort, s Search) {
	s.Dots = 1
	f, err := os.Open(file)
	if err != nil {
		return nil, s
	}
	defer f.Close()
	lines := bufio.NewScanner(io.LimitReader(f, maxFile))
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 2 {
			continue
		}
		switch fields[0] {
		case "nameserver":
			if a, err := netip.ParseAddr(fields[1]); err == nil && len(servers) < maxServers {
				servers = append(servers, netip.AddrPortFrom(a, 53))
			}
		case "domain", "search":
			s.Domains = nil
			for _, d := range fields[1:min(len(fields), maxDomains+1)] {
				if d = strings.TrimSuffix(d, "."); d != "" {
					s.Domains = append(s.Domains, d)
				}
			}
		case "options":
			for _, o := range fields[1:] {
				if n, err := strconv.Atoi(strings.TrimPrefix(o, "ndots:")); err == nil && strings.HasPrefix(o, "ndots:") {
					s.Dots = min(max(n, 0), 15)
				}
			}
		}
	}
	return servers, s
}

const (
	maxFile    = 64 << 10
	maxServers = 8
	maxDomains = 16
)
