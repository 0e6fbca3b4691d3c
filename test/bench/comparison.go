package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// comparison is one run of `bench peers` or `bench latency`.
type comparison struct {
	title   string    // of the budgets
	paced   bool      // at half of what a proxy can do: all of them idle
	Seconds int       `json:"seconds"`
	Rounds  int       `json:"rounds"`
	Conns   int       `json:"connections"`
	Rows    []row     `json:"rows"`
	Budgets []verdict `json:"budgets"`
	LeftOut []string  `json:"left_out,omitempty"` // each with the reason
	rounds  [][]row   // what each round measured, of which Rows has the best
}

// pair is a proxy with a kind of work for it.
type pair struct {
	peer *peer
	work work
}

// run measures everything, round by round, so that what else the machine does
// strikes all peers alike. A pair that fails is left out of the rows and is in the
// error; the others go on.
func (c *comparison) run(ctx context.Context, picked []work, bin string) (err error) {
	s, err := newSite(tokensFor(picked))
	if err != nil {
		return err
	}
	defer s.remove()
	found, missing := findPeers(bin)
	c.LeftOut = missing
	if slices.ContainsFunc(picked, func(w work) bool { return w.listener == "configured" }) {
		progress("start a mesh for work configured")
		if err := s.writeConfigured(ctx, bin); err != nil {
			return fmt.Errorf("work configured: %w", err)
		}
	}
	picked, stop, err := c.upstreams(ctx, s, picked)
	defer func() { err = errors.Join(err, stop()) }()
	if err != nil {
		return err
	}
	plan := c.plan(ctx, s, found, picked)
	measured := make([][]row, len(plan)) // of each pair, by round
	failed := make([]error, len(plan))
	for round := range c.Rounds {
		for i, p := range plan {
			if failed[i] != nil {
				continue
			}
			progress("round %d of %d: %s, %s", round+1, c.Rounds, p.work.name, p.peer.name)
			r, err := s.measure(ctx, p.peer, p.work, c.Seconds, s.saturate(c.Conns))
			switch {
			case ctx.Err() != nil:
				return ctx.Err()
			case err != nil:
				failed[i] = fmt.Errorf("%s, work %s: %w", p.peer.name, p.work.name, err)
			default:
				measured[i] = append(measured[i], r)
			}
		}
	}
	progress("")
	c.take(measured)
	return errors.Join(failed...)
}

// take notes what was measured of each pair in all rounds; one that lacks some has failed, and
// what it did before says nothing.
func (c *comparison) take(measured [][]row) {
	c.rounds = make([][]row, c.Rounds)
	for _, all := range measured {
		if len(all) < c.Rounds {
			continue
		}
		best := all[0]
		for round, r := range all {
			c.rounds[round] = append(c.rounds[round], r)
			if round > 0 {
				best = r.join(best)
			}
		}
		c.Rows = append(c.Rows, best)
	}
}

// upstreams starts the servers behind the proxies; stop ends them. Without the
// programs for HTTP/2, work h2 is left out of what it gives.
func (c *comparison) upstreams(ctx context.Context, s *site, picked []work) (possible []work, stop func() error, err error) {
	var started []*process
	stop = func() (err error) {
		for _, p := range started {
			err = errors.Join(err, p.stop())
		}
		return err
	}
	serve := func(listener string, argv ...string) error {
		p, err := s.launch(loadCPU, listener, nil, argv...)
		if err != nil {
			return err
		}
		started = append(started, p)
		if err := p.await(ctx, s.Port[listener]); err != nil {
			return fmt.Errorf("%s: %w", listener, err)
		}
		return nil
	}
	if err := serve("upstream", "nginx", "-e", "stderr", "-c", s.File("upstream.conf")); err != nil {
		return nil, stop, err
	}
	h2 := slices.IndexFunc(picked, func(w work) bool { return w.listener == "h2" })
	if h2 < 0 {
		return picked, stop, nil
	}
	for _, program := range []string{"nghttpd", "h2load"} {
		if _, err := find(program); err != nil {
			c.LeftOut = append(c.LeftOut, fmt.Sprintf("h2: %v", err))
			return slices.Delete(picked, h2, h2+1), stop, nil
		}
	}
	return picked, stop, serve("upstream-h2", "nghttpd", "--no-tls", "-a", "127.0.0.1", "-d", s.File("www"),
		fmt.Sprint(s.Port["upstream-h2"]))
}

// plan gives what to measure: by work, then by proxy. HTTP/2 is optional: a proxy
// that refuses its configuration is left out of it.
func (c *comparison) plan(ctx context.Context, s *site, found []*peer, picked []work) []pair {
	var plan []pair
	for _, w := range picked {
		for _, p := range found {
			if !p.serves(w) {
				continue
			}
			if w.listener == "h2" {
				if err := p.accepts(ctx, s.File(w.file)); err != nil {
					why := strings.ReplaceAll(err.Error(), s.dir+"/", "")
					c.LeftOut = append(c.LeftOut, fmt.Sprintf("h2, %s: %s", p.name, why))
					continue
				}
			}
			plan = append(plan, pair{p, w})
		}
	}
	return plan
}
