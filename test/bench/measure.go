package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// row is what one proxy did under one kind of work.
type row struct {
	Work string `json:"work"`
	Peer string `json:"peer"`
	// Rate is in requests a second, at saturation of the proxy's CPU.
	Rate float64 `json:"requests_per_second"`
	// CPU is the proxy's processor time a request, user and system, in microseconds.
	CPU float64 `json:"cpu_us_per_request"`
	// P50 and P99 are in microseconds; 0 where the load generator tells none.
	P50 float64 `json:"p50_us,omitempty"`
	P99 float64 `json:"p99_us,omitempty"`
	// Resident is in MB (2^20 bytes), halfway through the load.
	Resident float64 `json:"resident_mb"`
	Failed   int     `json:"failed"`
	// Waited is the share of the time in which the proxy was ready to run and
	// something else had its CPU, in percent. Much of it makes the row rough.
	Waited float64 `json:"waited_percent"`
}

// measure starts a proxy, checks its verdicts, warms it up for a second, and loads
// it. A proxy runs anew for each measurement, so that no work inherits the memory
// of another.
func (s *site) measure(ctx context.Context, p *peer, w work, seconds, conns int) (r row, err error) {
	proxy, err := s.launch(proxyCPU, p.name, p.env, p.command(s.File(p.fileFor(w)))...)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, proxy.stop()) }()
	if err := proxy.await(ctx, s.Port[w.listener]); err != nil {
		return r, err
	}
	if err := checkVerdicts(ctx, s, w); err != nil {
		return r, fmt.Errorf("wrong verdict: %w", err)
	}
	if _, err := s.generate(ctx, w, 1, conns); err != nil {
		return r, err
	}
	r, err = s.watch(ctx, proxy.pid(), w, seconds, conns)
	r.Work, r.Peer = w.name, p.name
	return r, err
}

func (s *site) generate(ctx context.Context, w work, seconds, conns int) (load, error) {
	if w.listener == "h2" {
		return h2load(ctx, s, seconds)
	}
	return wrk(ctx, s, w, seconds, conns)
}

// watch loads a running proxy and reads what that costs it.
func (s *site) watch(ctx context.Context, pid int, w work, seconds, conns int) (r row, err error) {
	before, err := readFamily(pid)
	if err != nil {
		return r, err
	}
	begun, waited := time.Now(), before.waited()
	length := time.Duration(seconds) * time.Second
	halfway := make(chan family, 1)
	defer time.AfterFunc(length/2, func() {
		f, _ := readFamily(pid) // if it has ended, the load has failed
		halfway <- f
	}).Stop()
	l, err := s.generate(ctx, w, seconds, conns)
	if err != nil {
		return r, err
	}
	after, err := readFamily(pid)
	if err != nil {
		return r, err
	}
	if l.requests == 0 {
		return r, errors.New("no request was answered")
	}
	return row{
		Rate: l.rate, Failed: l.failed, P50: micros(l.p50), P99: micros(l.p99),
		CPU:      micros(after.cpu()-before.cpu()) / float64(l.requests),
		Resident: megabytes((<-halfway).resident()),
		Waited:   100 * float64(after.waited()-waited) / float64(time.Since(begun)),
	}, nil
}

func megabytes(bytes int64) float64 { return float64(bytes) / (1 << 20) }

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// rough is how much a proxy may wait, in percent, before its row says little.
const rough = 10

// rough tells whether the row says little.
func (r row) rough() bool { return r.Waited > rough }

// join takes the better of two rounds: among calm ones that with less processor
// time, else the calmer one. Memory is the larger one, failures add up.
func (r row) join(o row) row {
	better, other := r, o
	if r.rough() || o.rough() {
		if o.Waited < r.Waited {
			better, other = o, r
		}
	} else if o.CPU < r.CPU {
		better, other = o, r
	}
	better.Resident = max(better.Resident, other.Resident)
	better.Failed += other.Failed
	return better
}
