package main

import (
	"context"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
)

// HTTP/2 is loaded by 8 connections of 16 streams each.
const h2Conns, h2Streams = 8, 16

// h2load loads the h2 listener for some seconds. It tells no percentiles.
func h2load(ctx context.Context, s *site, seconds int) (load, error) {
	argv := pinned(loadCPU, "h2load", "-t1", fmt.Sprintf("-c%d", h2Conns), fmt.Sprintf("-m%d", h2Streams),
		fmt.Sprintf("-D%d", seconds), s.url("h2")+"index.html")
	out, err := exec.CommandContext(ctx, argv[0], argv[1:]...).CombinedOutput()
	if err != nil {
		return load{}, fmt.Errorf("h2load: %w: %s", err, lastLine(out))
	}
	return parseH2load(string(out))
}

var (
	h2Rate     = regexp.MustCompile(`([\d.]+) req/s`)
	h2Requests = regexp.MustCompile(`requests: (\d+) total`)
	h2Good     = regexp.MustCompile(`status codes: (\d+) 2xx`)
)

func parseH2load(out string) (load, error) {
	var l load
	var err error
	if l.requests, err = strconv.Atoi(group(h2Requests, out)); err != nil {
		return l, fmt.Errorf("h2load: no number of requests in %q", out)
	}
	if l.rate, err = strconv.ParseFloat(group(h2Rate, out), 64); err != nil {
		return l, fmt.Errorf("h2load: no rate in %q", out)
	}
	good, err := strconv.Atoi(group(h2Good, out))
	if err != nil {
		return l, fmt.Errorf("h2load: no status codes in %q", out)
	}
	l.failed = l.requests - good
	return l, nil
}
