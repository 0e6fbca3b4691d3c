package main

import (
	"context"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"time"
)

// load is what a generator saw.
type load struct {
	requests int
	rate     float64 // requests a second
	p50, p99 time.Duration
	failed   int // answers other than 2xx and 3xx, and socket errors
}

// wrk loads a listener for some seconds.
func wrk(ctx context.Context, s *site, w work, seconds, conns int) (load, error) {
	argv := pinned(loadCPU, "wrk", "-t1", fmt.Sprintf("-c%d", conns), fmt.Sprintf("-d%ds", seconds), "--latency")
	if w.script != "" {
		argv = append(argv, "-s", s.File(w.script))
	}
	if w.token == oneToken {
		argv = append(argv, "-H", "Authorization: Bearer "+s.tokens[0])
	}
	if w.host != "" {
		argv = append(argv, "-H", "Host: "+w.host)
	}
	argv = append(argv, s.url(w.listener)+w.path)
	out, err := exec.CommandContext(ctx, argv[0], argv[1:]...).CombinedOutput()
	if err != nil {
		return load{}, fmt.Errorf("wrk: %w: %s", err, lastLine(out))
	}
	return parseWrk(string(out))
}

var (
	wrkRequests = regexp.MustCompile(`(\d+) requests in`)
	wrkRate     = regexp.MustCompile(`Requests/sec:\s+([\d.]+)`)
	wrkP50      = regexp.MustCompile(`\n\s+50%\s+(\S+)`)
	wrkP99      = regexp.MustCompile(`\n\s+99%\s+(\S+)`)
	wrkStatus   = regexp.MustCompile(`Non-2xx or 3xx responses: (\d+)`)
	wrkSockets  = regexp.MustCompile(`Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)`)
)

func parseWrk(out string) (load, error) {
	var l load
	var err error
	if l.requests, err = strconv.Atoi(group(wrkRequests, out)); err != nil {
		return l, fmt.Errorf("wrk: no number of requests in %q", out)
	}
	if l.rate, err = strconv.ParseFloat(group(wrkRate, out), 64); err != nil {
		return l, fmt.Errorf("wrk: no rate in %q", out)
	}
	if l.p50, err = time.ParseDuration(group(wrkP50, out)); err != nil {
		return l, fmt.Errorf("wrk: %w", err)
	}
	if l.p99, err = time.ParseDuration(group(wrkP99, out)); err != nil {
		return l, fmt.Errorf("wrk: %w", err)
	}
	counts := append(wrkStatus.FindStringSubmatch(out), wrkSockets.FindStringSubmatch(out)...)
	for _, c := range counts {
		if n, err := strconv.Atoi(c); err == nil { // the whole matches are no numbers
			l.failed += n
		}
	}
	return l, nil
}

// group is the first group of the first match, "" if there is none.
func group(re *regexp.Regexp, text string) string {
	if m := re.FindStringSubmatch(text); m != nil {
		return m[1]
	}
	return ""
}
