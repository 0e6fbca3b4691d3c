package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
)

// latencies is `bench latency`: how long requests take at half the rate that saturates
// Envoy, the same rate for Envoy and for usher-proxy.
func latencies(ctx context.Context, args []string) error {
	c := comparison{paced: true, title: "usher's latency against Envoy's at half of Envoy's saturation, medians of this run"}
	f := flag.NewFlagSet("bench latency", flag.ContinueOnError)
	f.IntVar(&c.Seconds, "seconds", 5, "length of a measurement, in `seconds`")
	f.IntVar(&c.Rounds, "rounds", 3, "how `often` each is measured; medians count")
	f.IntVar(&c.Conns, "conns", 64, "`connections` of the load")
	list := f.String("work", "plain,jwt-cache,mesh", "kinds of `work`, but for h2")
	bin := f.String("bin", "bin", "`folder` of usher-proxy")
	if err := parse(f, args); err != nil {
		return err
	}
	if c.Seconds < 1 || c.Rounds < 1 || c.Conns < 1 {
		return errors.New("-seconds, -rounds and -conns are at least 1")
	}
	picked, err := pick(*list)
	if err != nil {
		return err
	}
	why := lacks(ctx)
	if _, err := findEnvoy(""); err != nil && why == "" {
		why = err.Error()
	}
	if why != "" {
		fmt.Printf("latencies are left out: %s\n", why)
		return nil
	}
	err = c.runPaced(ctx, picked, *bin)
	c.print(os.Stdout)
	return err
}

// runPaced measures Envoy and usher-proxy by turns.
func (c *comparison) runPaced(ctx context.Context, picked []work, bin string) (err error) {
	s, err := newSite(tokensFor(picked))
	if err != nil {
		return err
	}
	defer s.remove()
	found, _ := findPeers(bin)
	found = slices.DeleteFunc(found, func(p *peer) bool { return p.name != "envoy" && p.name != "usher" })
	picked, stop, err := c.upstreams(ctx, s, picked)
	defer func() { err = errors.Join(err, stop()) }()
	if err != nil {
		return err
	}
	for _, w := range picked {
		progress("%s: saturate Envoy", w.name)
		most, err := s.measure(ctx, found[0], w, c.Seconds, s.saturate(c.Conns))
		if err != nil {
			return fmt.Errorf("%s, work %s: %w", found[0].name, w.name, err)
		}
		rounds := make([][]row, len(found))
		for round := range c.Rounds {
			for i, p := range found {
				progress("round %d of %d: %s, %s", round+1, c.Rounds, w.name, p.name)
				r, err := s.measure(ctx, p, w, c.Seconds, s.paced(int(most.Rate/2), c.Conns))
				if err != nil {
					return fmt.Errorf("%s, work %s: %w", p.name, w.name, err)
				}
				if r.Failed > 0 { // times of what failed say nothing of the proxy
					return fmt.Errorf("%s, work %s: %d requests failed at %.0f/s: the load or the upstream does not keep up", p.name, w.name, r.Failed, most.Rate/2)
				}
				rounds[i] = append(rounds[i], r)
			}
		}
		envoy, usher := middle(rounds[0]), middle(rounds[1])
		c.Rows = append(c.Rows, envoy, usher)
		c.Budgets = append(c.Budgets,
			newVerdict(w.name+", p50: usher / envoy", usher.P50/envoy.P50, 1, ""),
			newVerdict(w.name+", p99: usher / envoy", usher.P99/envoy.P99, 1, ""))
	}
	progress("")
	return nil
}

// middle takes each figure's median over the rounds of one proxy.
func middle(rounds []row) row {
	m := rounds[0]
	for figure, of := range map[*float64]func(row) float64{
		&m.Rate: func(r row) float64 { return r.Rate }, &m.CPU: func(r row) float64 { return r.CPU },
		&m.P50: func(r row) float64 { return r.P50 }, &m.P99: func(r row) float64 { return r.P99 },
		&m.Busy: func(r row) float64 { return r.Busy }, &m.Resident: func(r row) float64 { return r.Resident },
	} {
		var all []float64
		for _, r := range rounds {
			all = append(all, of(r))
		}
		*figure = median(all)
	}
	m.Failed = 0
	for _, r := range rounds {
		m.Failed += r.Failed
	}
	return m
}
