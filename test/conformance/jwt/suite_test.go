package jwt

import (
	"fmt"
	"iter"
	"maps"
	"math/rand/v2"
	"slices"
)

// seed makes the same requests in every run, but for keys and the time.
const seed = 20260601

// suite is what both programs are asked.
type suite struct {
	worlds   []*world
	requests []*request
	rnd      *rand.Rand
	keyFile  string // a JWK set
}

// request is one of them.
type request struct {
	world   *world
	name    string // what is special in it
	method  string
	host    string // "": svc.test
	path    string
	headers [][2]string

	// alg is what the token's header says, "" where it does not matter.
	alg string

	// why names the exception by which usher differs; "": both answer the same.
	// usher answers as Envoy answers like, or refuses with the text of says.
	// to, cookie and auth, if set, are what the upstream gets besides.
	why              reason
	like             *request
	says             string
	to, cookie, auth string
	// alone are the request's tokens one by one, each asked of its own provider:
	// where Envoy lets the request pass, usher may refuse it as Envoy refuses one of
	// them. why is then everyBad.
	alone []*request
	// byItself: an allow_missing stands by itself in what is required (staleStatus).
	byItself bool
}

func (r *request) String() string {
	return fmt.Sprintf("%s: %s (%s %s %v)", r.world.name, r.name, r.method, r.path, r.headers)
}

// add makes a world part of the suite.
func (s *suite) add(w *world) *world {
	s.worlds = append(s.worlds, w)
	return w
}

// get asks for a path with headers (name, value, name, value ...).
func (s *suite) get(w *world, name, path string, headers ...string) *request {
	r := newRequest(w, name, path, headers...)
	s.requests = append(s.requests, r)
	return r
}

func newRequest(w *world, name, path string, headers ...string) *request {
	r := &request{world: w, name: name, method: "GET", path: path}
	for i := 0; i < len(headers); i += 2 {
		r.headers = append(r.headers, [2]string{headers[i], headers[i+1]})
	}
	return r
}

// as makes the request one that usher answers, on purpose, as Envoy answers
// another one: the same with other headers, and with another path unless it is "".
func (r *request) as(why reason, path string, headers ...string) *request {
	l := newRequest(r.world, r.name, r.path, headers...)
	l.method = r.method
	if path != "" {
		l.path = path
	}
	r.why, r.like = why, l
	return r
}

// bearer is the usual place of a token, for get.
func bearer(token string) (name, value string) { return "authorization", "Bearer " + token }

// refuse makes the request one that usher, on purpose, refuses with a text.
func (r *request) refuse(why reason, text string) {
	r.why, r.says = why, text
}

// same takes refuse back.
func (r *request) same() { r.why, r.says = "", "" }

// pick gives one of a list.
func pick[T any](s *suite, l []T) T { return l[s.rnd.IntN(len(l))] }

// all gives every request to make, those included that others are held against,
// and where each stands.
func (s *suite) all() (l []*request, at map[*request]int) {
	at = map[*request]int{}
	add := func(r *request) {
		at[r] = len(l)
		l = append(l, r)
	}
	for _, r := range s.requests {
		add(r)
		if r.like != nil {
			add(r.like)
		}
		for _, a := range r.alone {
			add(a)
		}
	}
	return l, at
}

// sorted goes through a map in the order of its keys, so that every run makes the
// same requests.
func sorted[V any](m map[string]V) iter.Seq2[string, V] {
	return func(yield func(string, V) bool) {
		for _, k := range slices.Sorted(maps.Keys(m)) {
			if !yield(k, m[k]) {
				return
			}
		}
	}
}
