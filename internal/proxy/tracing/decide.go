package tracing

import (
	"strconv"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/match"
)

// Reasons why a request is traced, as the digit of x-request-id that says its version has
// them (Envoy's UUID request ID).
const (
	notTraced    = '4'
	sampled      = '9'
	serviceAsked = 'a'
	clientAsked  = 'b'
)

// reasonAt is where that digit stands.
const reasonAt = 14

// Shares are those of requests that are traced: of clients that wish it, by chance, and of
// all of these.
type Shares struct{ Client, Random, Overall match.Fraction }

// Decide says whether a request is traced, and gives its id with the reason in it. A
// request without an id of Envoy's form is not.
func (t *Tracing) Decide(h *exchange.Header, id string, of Shares) (string, bool) {
	if len(id) != 36 {
		return id, false
	}
	n, err := strconv.ParseUint(id[:8], 16, 64)
	if err != nil {
		return id, false
	}
	share := n % 10000
	reason := id[reasonAt]
	switch reason {
	case sampled, serviceAsked, clientAsked:
	default:
		reason = notTraced
		switch {
		case has(h, "x-client-trace-id") && of.Client.Hit():
			reason = clientAsked
		case has(h, "x-envoy-force-trace"):
			reason = serviceAsked
		case of.Random.HitBy(share):
			reason = sampled
		}
	}
	if reason != notTraced && !of.Overall.HitBy(share) {
		reason = notTraced
	}
	if id[reasonAt] != reason {
		id = id[:reasonAt] + string(reason) + id[reasonAt+1:]
	}
	return id, reason != notTraced
}

// Forced tells of the id of a traced request that somebody of the mesh has asked for that.
func Forced(id string) bool { return id[reasonAt] == serviceAsked }

func has(h *exchange.Header, name string) bool {
	_, ok := h.Lookup(name)
	return ok
}
