package main

import (
	"fmt"
	"io"
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
	fmt.Fprintf(w, "%-44s %9.2f %-3s %-14s %s\n", v.Name, v.Measured, v.Unit, bound, v.Word)
}

// judge sets usher's rows against those of the peers. A budget of which one side
// was not measured is left out.
func judge(rows []row) []verdict {
	find := func(work, peer string) *row {
		for i := range rows {
			if rows[i].Work == work && rows[i].Peer == peer {
				return &rows[i]
			}
		}
		return nil
	}
	var all []verdict
	for _, b := range budgets {
		of := b.work
		if b.of != "" {
			of = b.of
		}
		own, other := find(b.work, "usher"), find(of, b.peer)
		if own == nil || other == nil || other.CPU == 0 {
			continue
		}
		name := fmt.Sprintf("%s: usher / %s", b.work, b.peer)
		if b.of != "" {
			name += " " + b.of
		}
		v := newVerdict(name, own.CPU/other.CPU, b.most, "")
		if own.rough() || other.rough() {
			v.Word += ", rough"
		}
		all = append(all, v)
	}
	var most row
	for _, r := range rows {
		if r.Peer == "usher" && r.Resident > most.Resident {
			most = r
		}
	}
	if most.Resident > 0 {
		all = append(all, newVerdict("resident, largest ("+most.Work+")", most.Resident, residentBudget, "MB"))
	}
	return all
}
