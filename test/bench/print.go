package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/term"
)

// progress tells a person who waits where we are, over what it told before.
func progress(format string, args ...any) {
	if term.IsTerminal(int(os.Stderr.Fd())) {
		const eraseLine = "\r\x1b[K"
		fmt.Fprintf(os.Stderr, eraseLine+format, args...)
	}
}

// print writes the figures, the ratios with their budgets, and what was left out.
func (c *comparison) print(w io.Writer) {
	if len(c.Rows) > 0 {
		fmt.Fprintf(w, "%-10s %-8s %9s %11s %8s %8s %8s %7s %7s\n",
			"work", "proxy", "req/s", "CPU us/req", "p50", "p99", "RSS MB", "failed", "busy")
	}
	var last string
	disturbed := false
	for _, r := range c.Rows {
		if last != "" && last != r.Work {
			fmt.Fprintln(w)
		}
		last, disturbed = r.Work, disturbed || r.rough() && !c.paced
		fmt.Fprintf(w, "%-10s %-8s %9.0f %11.1f %8s %8s %8.1f %7d %6.0f%%\n",
			r.Work, r.Peer, r.Rate, r.CPU, latency(r.P50), latency(r.P99), r.Resident, r.Failed, r.Busy)
	}
	if disturbed {
		fmt.Fprintf(w, "\na proxy that had its CPU for less than %d %% of the time (busy) was disturbed: what rests on that is rough\n", saturated)
	}
	if len(c.Budgets) > 0 {
		fmt.Fprintf(w, "\n%s (%d s, %d rounds, %d connections)\n", c.title, c.Seconds, c.Rounds, c.Conns)
	}
	for _, v := range c.Budgets {
		v.print(w)
	}
	for _, l := range c.LeftOut {
		fmt.Fprintln(w, "left out:", l)
	}
}

// latency shows microseconds; "-" if the load generator tells none.
func latency(us float64) string {
	if us == 0 {
		return "-"
	}
	return time.Duration(us * float64(time.Microsecond)).Round(10 * time.Microsecond).String()
}
