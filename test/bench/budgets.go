package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
)

// budget is a bound for usher's processor time a request, as a ratio to a peer's
// in the same run.
type budget struct {
	work string
	peer string
	of   string // the peer's work, if it is another
	most float64
}

// budgets of usher-proxy. jwt-cache is set against nginx without tokens: a token
// that was seen before should cost next to nothing.
var budgets = []budget{
	{work: "plain", peer: "nginx", most: 1.1},
	{work: "headers", peer: "nginx", most: 1.1},
	{work: "post", peer: "nginx", most: 1.1},
	{work: "jwt", peer: "haproxy", most: 1.0},
	{work: "jwt", peer: "envoy", most: 0.45},
	{work: "jwt-cache", peer: "nginx", of: "plain", most: 1.2},
	{work: "jwt-cache", peer: "envoy", most: 0.25},
	{work: "mesh", peer: "nginx", most: 0.75},
	{work: "mesh", peer: "envoy", most: 0.3},
	{work: "configured", peer: "usher", of: "mesh", most: 1.3},
	{work: "h2", peer: "envoy", most: 1.0},
}

// residentBudget is for usher-proxy under each load, in MB.
const residentBudget = 25

// verdict is what was measured, with its budget.
type verdict struct {
	Name     string  `json:"name"`
	Measured float64 `json:"measured"`
	Budget   float64 `json:"budget,omitempty"` // 0: none
	Unit     string  `json:"unit,omitempty"`   // "": a ratio
	Word     string  `json:"verdict"`
	// Least and Most are the range of what was measured more than once.
	Least float64 `json:"least,omitempty"`
	Most  float64 `json:"most,omitempty"`
}

// over notes the range of what was measured.
func (v verdict) over(all []float64) verdict {
	v.Least, v.Most = slices.Min(all), slices.Max(all)
	return v
}

// newVerdict finds the word for it.
func newVerdict(name string, measured, budget float64, unit string) verdict {
	v := verdict{Name: name, Measured: measured, Budget: budget, Unit: unit, Word: "met"}
	switch {
	case budget == 0:
		v.Word = "no budget"
	case measured > budget:
		v.Word = "NOT MET"
	}
	return v
}

func (v verdict) print(w io.Writer) {
	bound := ""
	if v.Budget > 0 {
		bound = fmt.Sprintf("<= %7.2f %-3s", v.Budget, v.Unit)
	}
	between := ""
	if v.Least != v.Most {
		between = fmt.Sprintf("%.2f to %.2f", v.Least, v.Most)
	}
	fmt.Fprintln(w, strings.TrimRight(fmt.Sprintf("%-44s %9.2f %-3s %-14s %-14s %s", v.Name, v.Measured, v.Unit, bound, v.Word, between), " "))
}

// judge sets usher's rows against those of the peers, round by round, since a machine that
// changes its pace changes that of all that run at about the time. A budget of which one side
// was not measured is left out.
func judge(rounds [][]row) []verdict {
	var all []verdict
	for _, b := range budgets {
		calm, rough := b.ratios(rounds)
		name := fmt.Sprintf("%s: usher / %s", b.work, b.peer)
		if b.of != "" {
			name += " " + b.of
		}
		switch {
		case len(calm) > 0:
			all = append(all, newVerdict(name, median(calm), b.most, "").over(calm))
		case len(rough) > 0:
			v := newVerdict(name, median(rough), b.most, "").over(rough)
			v.Word += ", rough"
			all = append(all, v)
		}
	}
	var most row
	for _, r := range slices.Concat(rounds...) {
		if r.Peer == "usher" && r.Resident > most.Resident {
			most = r
		}
	}
	if most.Resident > 0 {
		all = append(all, newVerdict("resident, largest ("+most.Work+")", most.Resident, residentBudget, "MB"))
	}
	return all
}

// ratios of the rounds; rough are those of which one side was disturbed.
func (b budget) ratios(rounds [][]row) (calm, rough []float64) {
	for _, rows := range rounds {
		find := func(work, peer string) (row, bool) {
			i := slices.IndexFunc(rows, func(r row) bool { return r.Work == work && r.Peer == peer })
			if i < 0 {
				return row{}, false
			}
			return rows[i], rows[i].CPU > 0
		}
		own, measured := find(b.work, "usher")
		other, too := find(cmp.Or(b.of, b.work), b.peer)
		switch {
		case !measured || !too:
		case own.rough() || other.rough():
			rough = append(rough, own.CPU/other.CPU)
		default:
			calm = append(calm, own.CPU/other.CPU)
		}
	}
	return calm, rough
}
