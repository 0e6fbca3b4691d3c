package admin

import (
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/usher-mesh/usher/internal/proxy/metrics"
)

// maxRegex bounds a regular expression of a query, in bytes.
const maxRegex = 1024

func (s *server) stats(w http.ResponseWriter, r *http.Request) {
	v := r.URL.Query()
	format := v.Get("format")
	switch format {
	case "", "text", "json":
	case "prometheus":
		s.prometheus(w, r)
		return
	default: // and pages for browsers, which are not served
		fail(w, http.StatusBadRequest, "usage: /stats?format=(json|prometheus|text)\n\n")
		return
	}
	q, problem := query(v)
	if problem != "" {
		fail(w, http.StatusBadRequest, problem)
		return
	}
	none := false
	switch v.Get("type") {
	case "", "All":
	case "Counters":
		q.Kind = metrics.Counter
	case "Gauges":
		q.Kind = metrics.Gauge
	case "Histograms":
		q.Kind = metrics.Histogram
	case "TextReadouts":
		none = true // there are none
	default:
		fail(w, http.StatusBadRequest, "invalid &type= param")
		return
	}
	if none || v.Get("hidden") == "only" { // nor any that are hidden
		q.Kind = "none"
	}
	write := s.o.Metrics.WriteText
	w.Header().Set("Content-Type", plainText)
	if format == "json" {
		write = s.o.Metrics.WriteJSON
		w.Header().Set("Content-Type", "application/json")
	}
	s.report(write(w, q))
}

func (s *server) prometheus(w http.ResponseWriter, r *http.Request) {
	v := r.URL.Query()
	q, problem := query(v)
	if problem != "" {
		fail(w, http.StatusBadRequest, problem)
		return
	}
	switch q.Buckets {
	case metrics.Default, metrics.Cumulative, metrics.Summary:
	default:
		fail(w, http.StatusBadRequest, "unsupported prometheus histogram bucket mode")
		return
	}
	if v.Get("hidden") == "only" {
		q.Kind = "none"
	}
	w.Header().Set("Content-Type", plainText)
	s.report(s.o.Metrics.WritePrometheus(w, q))
}

// query reads what the two kinds of text have in common, or tells what the problem is.
func query(v url.Values) (q metrics.Query, problem string) {
	q.UsedOnly, q.Invert = v.Has("usedonly"), v.Has("invert_filter")
	if f := v.Get("filter"); f != "" {
		var err error
		if q.Filter, err = regex(f); err != nil {
			return q, "Invalid re2 regex: " + err.Error()
		}
	}
	if h := v.Get("hidden"); h != "" && !slices.Contains([]string{"include", "only", "exclude"}, h) {
		return q, "usage: /stats?hidden=(include|only|exclude)\n\n"
	}
	switch q.Buckets = metrics.Buckets(v.Get("histogram_buckets")); q.Buckets {
	case metrics.Default, metrics.Summary, metrics.Cumulative, metrics.Disjoint, metrics.Detailed:
		return q, ""
	}
	return q, "usage: /stats?histogram_buckets=(cumulative|disjoint|detailed|summary)\n\n"
}

// regex compiles an expression that is searched for. The error is like RE2's.
func regex(s string) (*regexp.Regexp, error) {
	if len(s) > maxRegex {
		return nil, errors.New("too long")
	}
	r, err := regexp.Compile(s)
	if err != nil {
		text := strings.Replace(strings.TrimPrefix(err.Error(), "error parsing regexp: "), "missing closing ]:", "missing ]:", 1)
		return nil, errors.New(strings.ReplaceAll(text, "`", ""))
	}
	return r, nil
}
