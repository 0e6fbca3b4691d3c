package metrics

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
)

// label is one label of a sample.
type label struct{ name, value string }

var labelValue = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)

// labelled gives name{label="value",...}.
func labelled(name string, labels []label, more ...label) string {
	if len(labels)+len(more) == 0 {
		return name
	}
	b := append([]byte(name), '{')
	for i, l := range slices.Concat(labels, more) {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, l.name+`="`+labelValue.Replace(strings.ToValidUTF8(l.value, "?"))+`"`...)
	}
	return string(append(b, '}'))
}

// WritePrometheus writes Prometheus' text format, version 0.0.4.
func (r *Registry) WritePrometheus(w io.Writer, q Query) error {
	all := r.collect(&q)
	slices.SortFunc(all, byName)
	var b []byte
	sample := func(name string, labels []label, value string, more ...label) {
		b = append(b, labelled(name, labels, more...)+" "+value+"\n"...)
	}
	last := ""
	for i := range all {
		s := &all[i]
		if s.name != last {
			last = s.name
			b = s.head(b, q.Buckets)
		}
		if s.kind != Histogram {
			sample(s.name, s.labels, number(s.value))
			continue
		}
		if q.Buckets == Summary {
			for _, p := range quantiles {
				sample(s.name, s.labels, number(s.buckets.quantile(p)), label{"quantile", number(p / 100)})
			}
		} else {
			n := uint64(0)
			for i, c := range s.buckets.counts {
				n += c
				sample(s.name+"_bucket", s.labels, strconv.FormatUint(n, 10), label{"le", s.buckets.bound(i)})
			}
		}
		sample(s.name+"_sum", s.labels, number(s.buckets.sum))
		sample(s.name+"_count", s.labels, strconv.FormatUint(s.buckets.count(), 10))
	}
	_, err := w.Write(b)
	return err
}

var helpText = strings.NewReplacer(`\`, `\\`, "\n", `\n`)

func (s *stat) head(b []byte, how Buckets) []byte {
	if s.help != "" {
		b = append(b, "# HELP "+s.name+" "+helpText.Replace(s.help)+"\n"...)
	}
	kind := s.kind
	if kind == Histogram && how == Summary {
		kind = "summary"
	}
	return append(b, "# TYPE "+s.name+" "+string(kind)+"\n"...)
}

// bound gives a bucket's upper bound.
func (b *buckets) bound(i int) string {
	if i == len(b.bounds) {
		return "+Inf"
	}
	return strconv.FormatFloat(b.bounds[i], 'f', -1, 64)
}

// WriteText writes "name: value" lines, as Envoy's /stats does. What a histogram had
// since the last time that Envoy flushes its statistics is never known here.
func (r *Registry) WriteText(w io.Writer, q Query) error {
	all := r.collect(&q)
	slices.SortFunc(all, byText)
	var b []byte
	for i := range all {
		s := &all[i]
		b = append(b, s.text+": "...)
		switch {
		case s.kind != Histogram:
			b = append(b, number(s.value)...)
		case s.buckets.count() == 0:
			b = append(b, "No recorded values"...)
		default:
			b = append(b, strings.Join(s.buckets.text(q.Buckets), " ")...)
		}
		b = append(b, '\n')
	}
	_, err := w.Write(b)
	return err
}

func (b *buckets) text(how Buckets) (out []string) {
	switch how {
	case Cumulative, Disjoint:
		n := uint64(0)
		for i, bound := range b.bounds {
			if n += b.counts[i]; how == Disjoint {
				n = b.counts[i]
			}
			out = append(out, fmt.Sprintf("B%s(0,%d)", short(bound), n))
		}
	case Detailed:
		for _, d := range b.detail() {
			out = append(out, fmt.Sprintf("%s,%s:%d", number(d.Low), number(d.Width), d.Count))
		}
		out = []string{"totals={" + strings.Join(out, ", ") + "}", "intervals={}", "summary={" + strings.Join(b.text(Summary), " ") + "}"}
	default:
		for _, p := range quantiles {
			out = append(out, fmt.Sprintf("P%s(nan,%s)", number(p), number(b.quantile(p))))
		}
	}
	return out
}

// short writes a bound as C++ does.
func short(v float64) string { return strconv.FormatFloat(v, 'g', 6, 64) }

type detail struct {
	Low   float64 `json:"lower_bound"`
	Width float64 `json:"width"`
	Count uint64  `json:"count"`
}

// detail gives the buckets that hold something. The one without a bound has no width.
func (b *buckets) detail() []detail {
	out := []detail{}
	low := 0.0
	for i, c := range b.counts {
		high := low
		if i < len(b.bounds) {
			high = b.bounds[i]
		}
		if c > 0 {
			out = append(out, detail{low, high - low, c})
		}
		low = high
	}
	return out
}

// WriteJSON writes what Envoy's /stats?format=json does.
func (r *Registry) WriteJSON(w io.Writer, q Query) error {
	all := r.collect(&q)
	slices.SortFunc(all, byText)
	type object = map[string]any
	type value struct {
		Name  string      `json:"name"`
		Value json.Number `json:"value"`
	}
	stats, histograms := []any{}, []any{}
	for i := range all {
		s := &all[i]
		if s.kind != Histogram {
			stats = append(stats, value{s.text, json.Number(number(s.value))})
			continue
		}
		h := object{"name": s.text}
		switch q.Buckets {
		case Cumulative, Disjoint:
			h["buckets"] = s.buckets.json(q.Buckets)
		case Detailed:
			h["totals"], h["intervals"], h["percentiles"] = s.buckets.detail(), []detail{}, s.buckets.quantilesJSON()
		default:
			h["values"] = s.buckets.quantilesJSON()
		}
		histograms = append(histograms, h)
	}
	if len(histograms) > 0 {
		var of any
		switch q.Buckets {
		case Cumulative, Disjoint:
			of = histograms
		case Detailed:
			of = object{"supported_percentiles": quantiles, "details": histograms}
		default:
			of = object{"supported_quantiles": quantiles, "computed_quantiles": histograms}
		}
		stats = append(stats, object{"histograms": of})
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(object{"stats": stats}); err != nil {
		return err
	}
	_, err := w.Write(bytes.TrimSuffix(b.Bytes(), []byte("\n")))
	return err
}

func (b *buckets) json(how Buckets) []any {
	out, n := []any{}, uint64(0)
	for i, bound := range b.bounds {
		if n += b.counts[i]; how == Disjoint {
			n = b.counts[i]
		}
		out = append(out, map[string]any{"upper_bound": bound, "interval": 0, "cumulative": n})
	}
	return out
}

func (b *buckets) quantilesJSON() []any {
	out := []any{}
	for _, p := range quantiles {
		var v any
		if x := b.quantile(p); !math.IsNaN(x) {
			v = x
		}
		out = append(out, map[string]any{"interval": nil, "cumulative": v})
	}
	return out
}

func number(v float64) string {
	switch {
	case math.IsNaN(v):
		return "nan"
	case v == math.Trunc(v) && math.Abs(v) < 1<<53:
		return strconv.FormatInt(int64(v), 10)
	}
	return strconv.FormatFloat(v, 'g', -1, 64)
}

// sorted gives the keys of a map in order.
func sorted[K cmp.Ordered, V any](m map[K]V) []K {
	out := make([]K, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}
