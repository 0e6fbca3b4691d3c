package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// single is one run of `bench alone`: what usher-proxy costs, without a peer.
type single struct {
	comparison
	Requests int
	Idle     int
}

// alone is `bench alone`.
func alone(ctx context.Context, args []string) error {
	a := single{comparison: comparison{title: "usher-proxy by itself"}}
	f := flag.NewFlagSet("bench alone", flag.ContinueOnError)
	f.IntVar(&a.Requests, "requests", 1_000_000, "over how `many` requests garbage is counted")
	f.IntVar(&a.Idle, "idle", 9_000, "how `many` idle connections there are")
	f.IntVar(&a.Seconds, "seconds", 3, "length of a measurement, in `seconds`")
	f.IntVar(&a.Rounds, "rounds", 3, "how `often` each is measured; the best round counts")
	f.IntVar(&a.Conns, "conns", 64, "`connections` of the load")
	bin := f.String("bin", "bin", "`folder` of usher-proxy")
	if err := parse(f, args); err != nil {
		return err
	}
	if a.Requests < 1 || a.Idle < 1 || a.Seconds < 1 || a.Rounds < 1 || a.Conns < 1 {
		return errors.New("all counts are at least 1")
	}
	if why := lacks(ctx); why != "" {
		fmt.Printf("left out: %s\n", why)
		return nil
	}
	err := a.run(ctx, *bin)
	progress("")
	a.print(os.Stdout)
	return err
}

func (a *single) run(ctx context.Context, bin string) (err error) {
	s, err := newSite(tokensFor(nil))
	if err != nil {
		return err
	}
	defer s.remove()
	found, _ := findPeers(bin)
	usher := found[len(found)-1]
	if usher.name != "usher" {
		return errors.New("usher-proxy is not built: run `make build`")
	}
	picked, err := pick("plain,jwt-cache")
	if err != nil {
		return err
	}
	_, stop, err := a.upstreams(ctx, s, picked)
	defer func() { err = errors.Join(err, stop()) }()
	if err != nil {
		return err
	}
	for _, w := range picked {
		if err := a.garbage(ctx, s, usher, w); err != nil {
			return fmt.Errorf("%s: %w", w.name, err)
		}
	}
	if err := a.idle(ctx, s, usher); err != nil {
		return fmt.Errorf("idle connections: %w", err)
	}
	return a.routes(ctx, s, usher)
}

// garbage counts what the process allocates for each of many requests.
func (a *single) garbage(ctx context.Context, s *site, p *peer, w work) (err error) {
	proxy, err := s.launch(proxyCPU, p.name, p.env, p.command(s.File(p.file))...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, proxy.stop()) }()
	if err := proxy.await(ctx, s.Port[w.listener]); err != nil {
		return err
	}
	load := s.saturate(a.Conns)
	if _, err := load(ctx, w, 1); err != nil {
		return err
	}
	unread, err := s.mallocs(ctx)
	if err != nil {
		return err
	}
	before, err := s.mallocs(ctx)
	if err != nil {
		return err
	}
	n := 0
	for n < a.Requests {
		progress("garbage of %s: %d of %d requests", w.name, n, a.Requests)
		l, err := load(ctx, w, 20)
		if err != nil {
			return err
		}
		if n += l.requests; l.failed > 0 || l.requests == 0 {
			return fmt.Errorf("%d of %d requests failed", l.failed, l.requests)
		}
	}
	after, err := s.mallocs(ctx)
	if err != nil {
		return err
	}
	// What telling the number takes is known. The connections of each round and timers make some, so rounds are long.
	each := (float64(after-before) - float64(before-unread)) / float64(n)
	a.Budgets = append(a.Budgets, newVerdict(fmt.Sprintf("%s: allocations a request, over %d", w.name, n), max(each, 0), 0.02, ""))
	return nil
}

// mallocs counts the objects that usher-proxy has ever allocated.
func (s *site) mallocs(ctx context.Context) (n uint64, err error) {
	c := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", s.File("admin.sock"))
		}}}
	rq, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://localhost/debug/pprof/allocs?debug=1", nil)
	if err != nil {
		return 0, err
	}
	rs, err := c.Do(rq)
	if err != nil {
		return 0, err
	}
	defer rs.Body.Close()
	for lines := bufio.NewScanner(rs.Body); lines.Scan(); {
		if text, ok := strings.CutPrefix(lines.Text(), "# Mallocs = "); ok {
			return strconv.ParseUint(text, 10, 64)
		}
	}
	return 0, fmt.Errorf("%s: no count of allocations", rs.Status)
}

// idle has connections that have had one answer each wait for nothing.
func (a *single) idle(ctx context.Context, s *site, p *peer) (err error) {
	progress("%d idle connections", a.Idle)
	proxy, err := s.launch(proxyCPU, p.name, p.env, p.command(s.File(p.file))...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, proxy.stop()) }()
	if err := proxy.await(ctx, s.Port["plain"]); err != nil {
		return err
	}
	// What one load needs is there afterwards.
	if _, err := s.saturate(a.Conns)(ctx, works[0], 1); err != nil {
		return err
	}
	before, err := readMember(strconv.Itoa(proxy.pid()))
	if err != nil {
		return err
	}
	open := make([]net.Conn, 0, a.Idle)
	defer func() {
		for _, c := range open {
			c.Close()
		}
	}()
	buf := make([]byte, 4096)
	for range a.Idle {
		c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", s.Port["plain"]))
		if err != nil {
			return err
		}
		open = append(open, c)
		c.SetDeadline(time.Now().Add(10 * time.Second))
		if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
			return err
		}
		if n, err := c.Read(buf); err != nil || !strings.HasPrefix(string(buf[:n]), "HTTP/1.1 200") {
			return fmt.Errorf("connection %d: %.100q, %w", len(open), buf[:n], err)
		}
	}
	// What serving took is given back after ten seconds without work.
	lowest := int64(math.MaxInt64)
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end) && ctx.Err() == nil; time.Sleep(time.Second) {
		m, err := readMember(strconv.Itoa(proxy.pid()))
		if err != nil {
			return err
		}
		lowest = min(lowest, m.resident)
	}
	runtime.KeepAlive(open)
	each := float64(lowest-before.resident) / float64(a.Idle) / 1024
	a.Budgets = append(a.Budgets, newVerdict(fmt.Sprintf("an idle connection, of %d", a.Idle), each, 10, "KB"))
	return nil
}

// routes compares tables of growing length; a request matches the last entry.
func (a *single) routes(ctx context.Context, s *site, p *peer) error {
	lengths := []int{10, 1000, 10_000}
	var list []work
	for _, n := range lengths {
		w := work{name: fmt.Sprintf("routes %d", n), listener: "plain", file: fmt.Sprintf("routes-%d.json", n), path: fmt.Sprintf("r/%d/", n-1)}
		if err := s.writeRoutes(w.file, n); err != nil {
			return err
		}
		list = append(list, w)
	}
	rows := make([]row, len(list))
	for round := range a.Rounds {
		for i, w := range list {
			progress("round %d of %d: %s", round+1, a.Rounds, w.name)
			r, err := s.measure(ctx, p, w, a.Seconds, s.saturate(a.Conns))
			if err != nil {
				return fmt.Errorf("%s: %w", w.name, err)
			}
			if round > 0 {
				r = r.join(rows[i])
			}
			rows[i] = r
		}
	}
	a.Rows = append(a.Rows, rows...)
	for i := 1; i < len(rows); i++ {
		a.Budgets = append(a.Budgets, newVerdict(fmt.Sprintf("a request at %d routes / at %d", lengths[i], lengths[0]), rows[i].CPU/rows[0].CPU, 1.2, ""))
	}
	return nil
}
