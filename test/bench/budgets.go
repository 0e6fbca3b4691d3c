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
	{work: "h2", peer: "envoy", most: 1.0},
}

// residentBudget is for usher-proxy under each load, in MB.
const residentBudget = 25

// verdict is a budget with what was measured.
type verdict struct {
	Name     string  `json:"name"`
	Measured float64 `json:"measured"`
	Budget   float64 `json:"budget"`
	Unit     string  `json:"unit,omitempty"` // "": a ratio
	Met      bool    `json:"met"`
}

func (v verdict) print(w io.Writer) {
	word := "met"
	if !v.Met {
		word = "NOT MET"
	}
	fmt.Fprintf(w, "%-44s %9.2f %-3s <= %7.2f %-3s %s\n", v.Name, v.Measured, v.Unit, v.Budget, v.Unit, word)
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
		ratio := own.CPU / other.CPU
		all = append(all, verdict{Name: name, Measured: ratio, Budget: b.most, Met: ratio <= b.most})
	}
	var most row
	for _, r := range rows {
		if r.Peer == "usher" && r.Resident > most.Resident {
			most = r
		}
	}
	if most.Resident > 0 {
		all = append(all, verdict{Name: "resident, largest (" + most.Work + ")", Measured: most.Resident,
			Budget: residentBudget, Unit: "MB", Met: most.Resident <= residentBudget})
	}
	return all
}
