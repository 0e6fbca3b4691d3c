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
	// Rate is in requests a second, at saturation of the proxy's CPU if it is not paced.
	Rate float64 `json:"requests_per_second"`
	// CPU is the proxy's processor time a request, user and system, in microseconds.
	CPU float64 `json:"cpu_us_per_request"`
	// P50 and P99 are in microseconds; 0 where the load generator tells none.
	P50 float64 `json:"p50_us,omitempty"`
	P99 float64 `json:"p99_us,omitempty"`
	// Resident is in MB (2^20 bytes), halfway through the load.
	Resident float64 `json:"resident_mb"`
	Failed   int     `json:"failed"`
	// Busy is the share of the time that the proxy had its CPU, in percent.
	Busy float64 `json:"busy_percent"`
}

// measure starts a proxy, checks its verdicts, warms it up for a second, and loads
// it. A proxy runs anew for each measurement, so that no work inherits the memory
// of another.
func (s *site) measure(ctx context.Context, p *peer, w work, seconds int, generate generator) (r row, err error) {
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
	if _, err := generate(ctx, w, 1); err != nil {
		return r, err
	}
	r, err = s.watch(ctx, proxy.pid(), w, seconds, generate)
	r.Work, r.Peer = w.name, p.name
	return r, err
}

// generator makes a load of a kind of work for some seconds.
type generator func(ctx context.Context, w work, seconds int) (load, error)

// saturate sends the next request of a connection as soon as it has its answer.
func (s *site) saturate(conns int) generator {
	return func(ctx context.Context, w work, seconds int) (load, error) {
		if w.listener == "h2" {
			return h2load(ctx, s, seconds)
		}
		return wrk(ctx, s, w, seconds, conns)
	}
}

// watch loads a running proxy and reads what that costs it.
func (s *site) watch(ctx context.Context, pid int, w work, seconds int, generate generator) (r row, err error) {
	before, err := readFamily(pid)
	if err != nil {
		return r, err
	}
	begun := time.Now()
	halfway := make(chan family, 1)
	defer time.AfterFunc(time.Duration(seconds)*time.Second/2, func() {
		f, _ := readFamily(pid) // if it has ended, the load has failed
		halfway <- f
	}).Stop()
	l, err := generate(ctx, w, seconds)
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
	cpu, length := after.cpu()-before.cpu(), time.Since(begun)
	return row{
		Rate: l.rate, Failed: l.failed, P50: micros(l.p50), P99: micros(l.p99),
		CPU:      micros(cpu) / float64(l.requests),
		Resident: megabytes((<-halfway).resident()),
		Busy:     100 * float64(cpu) / float64(length),
	}, nil
}

func megabytes(bytes int64) float64 { return float64(bytes) / (1 << 20) }

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// saturated is how busy a proxy is at least, in percent, if nothing else has its CPU
// and the load is large enough.
const saturated = 90

// rough tells whether the row says little: other programs disturbed the proxy, its
// upstream or its load.
func (r row) rough() bool { return r.Busy < saturated }

// join takes the better of two rounds: among calm ones that with less processor
// time, else the busier one. Memory is the larger one, failures add up.
func (r row) join(o row) row {
	better, other := r, o
	if r.rough() || o.rough() {
		if o.Busy > r.Busy {
			better, other = o, r
		}
	} else if o.CPU < r.CPU {
		better, other = o, r
	}
	better.Resident = max(better.Resident, other.Resident)
	better.Failed += other.Failed
	return better
}
