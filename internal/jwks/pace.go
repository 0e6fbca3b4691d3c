package jwks

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// pace says how often a key set is asked for.
type pace struct {
	// least and most bound what Cache-Control asks for; usual holds without it.
	least, usual, most time.Duration
	// limit bounds what targets ask for.
	limit time.Duration
	// throttle is how long nobody's key is asked for after one that the fetch did not
	// bring.
	throttle time.Duration
}

// maxAsks bounds the fetches for keys that were there after all, without a pause of
// the throttle between two.
const maxAsks = 10

// asks is the throttle of fetches that unknown keys cause. Keys that somebody made up
// are asked for once in its time; a key that the issuer has does not count, so that
// the next one is found too when keys rotate in short order.
type asks struct {
	last   time.Time
	n      int  // without a pause
	missed bool // the last one brought no key, or has not ended
}

// take tells whether a fetch may begin, and counts it.
func (a *asks) take(now time.Time, throttle time.Duration) bool {
	switch {
	case now.Sub(a.last) >= throttle:
		a.n = 0
	case a.missed || a.n >= maxAsks:
		return false
	}
	a.last, a.missed = now, true
	a.n++
	return true
}

var (
	// issuerPace is polite to issuers, which are others' machines.
	issuerPace = pace{least: 30 * time.Second, usual: 5 * time.Minute, most: time.Hour, throttle: 5 * time.Second}
	// mirrorPace is short: a key that was removed must go, and our mirror answers
	// 304 from memory and throttles what it asks issuers.
	mirrorPace = pace{least: 5 * time.Second, usual: 15 * time.Second, most: time.Minute, throttle: time.Second}
)

// What a failed fetch is followed by. Short at first: an issuer often starts just
// after the mesh.
const (
	minRetry = 200 * time.Millisecond
	maxRetry = 30 * time.Second
)

// minRefresh bounds what a target asks for as the time between fetches.
const minRefresh = time.Second

// within is a pace that fetches keys well before they are too old to be used.
func (p pace) within(limit time.Duration) pace {
	p.least, p.usual, p.most, p.limit = min(p.least, limit), min(p.usual, limit), min(p.most, limit), limit
	return p
}

// maxAgeWithin bounds how old keys may become; 0: MaxAge.
func maxAgeWithin(d time.Duration) time.Duration {
	if d == 0 {
		return MaxAge
	}
	return min(max(d, LeastMaxAge), MostMaxAge)
}

// fresh is the time until the next refresh after a good answer, at most the given
// one (0: the pace's), up to a tenth earlier, so that many sets do not keep step.
func (p pace) fresh(h http.Header, most time.Duration, random float64) time.Duration {
	if most > 0 {
		most = min(max(most, minRefresh), p.limit)
		p.least, p.usual, p.most = min(p.least, most), most, most
	}
	d := p.usual
	if v, ok := maxAge(h); ok {
		d = v
	}
	d = min(max(d, p.least), p.most)
	return d - time.Duration(random*float64(d)/10)
}

// minPause bounds what a target asks for: other machines are not asked without a pause.
const minPause = 10 * time.Millisecond

// after is the time until the next try after n failures in a row (1 or more), and
// whether that still belongs to the fetch that failed.
func (t *Target) after(n int, random float64) (wait time.Duration, again bool) {
	if try := n % (t.Retry.Times + 1); try > 0 {
		most := t.Retry.Max
		if try < 32 && t.Retry.Base <= most/(1<<try-1) {
			most = t.Retry.Base * (1<<try - 1)
		}
		return max(minPause, time.Duration(random*float64(most))), true
	}
	if t.Refetch > 0 {
		return max(minPause, t.Refetch), false
	}
	return retry(n/(t.Retry.Times+1), random), false
}

// retry is the time until the next fetch after n that failed in a row (1 or more).
func retry(n int, random float64) time.Duration {
	d := maxRetry
	if n < 9 {
		d = min(minRetry<<(n-1), maxRetry)
	}
	return d/2 + time.Duration(random*float64(d/2))
}

// maxAge reads how long an answer is fresh (RFC 9111, 4.2.1); 0 for one that may
// not be kept.
func maxAge(h http.Header) (time.Duration, bool) {
	found, ok := time.Duration(0), false
	for _, v := range h.Values("Cache-Control") {
		for d := range strings.SplitSeq(v, ",") {
			name, arg, _ := strings.Cut(strings.TrimSpace(d), "=")
			switch strings.ToLower(name) {
			case "no-store", "no-cache":
				return 0, true
			case "max-age":
				n, err := strconv.ParseUint(strings.Trim(arg, `"`), 10, 31)
				if err != nil {
					return 0, true // RFC 9111, 4.2.1: invalid freshness is stale
				}
				found, ok = time.Duration(n)*time.Second, true
			}
		}
	}
	if ok {
		if n, err := strconv.ParseUint(h.Get("Age"), 10, 31); err == nil {
			found = max(0, found-time.Duration(n)*time.Second)
		}
	}
	return found, ok
}
