package metrics

import (
	"regexp"
)

// Query says which statistics are wanted, and how: the parameters of Envoy's /stats.
type Query struct {
	UsedOnly bool           // what has been counted
	Filter   *regexp.Regexp // of names; nil: all
	Invert   bool           // names that Filter does not match
	Kind     Kind           // "": all
	Buckets  Buckets
}

// Buckets is how histograms are shown.
type Buckets string

// How histograms are shown: by quantiles, or by buckets, each with what is in it or with
// all that is in the lower ones, too.
const (
	Default    Buckets = ""
	Summary    Buckets = "summary"
	Cumulative Buckets = "cumulative"
	Disjoint   Buckets = "disjoint"
	Detailed   Buckets = "detailed"
)

func (q *Query) wants(s *stat) bool {
	if q.Kind != "" && s.kind != q.Kind || q.UsedOnly && !s.used() {
		return false
	}
	return q.Filter == nil || q.Filter.MatchString(s.text) != q.Invert
}
