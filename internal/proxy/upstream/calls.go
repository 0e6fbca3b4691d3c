package upstream

import (
	"strings"
	"sync"

	"github.com/usher-mesh/usher/internal/proxy/counters"
)

// Call counts calls of gRPC.
type Call struct {
	Status    counters.Statuses  `stat:""`
	Requests  counters.Counter   `stat:"request_message_count"`
	Responses counters.Counter   `stat:"response_message_count"`
	Time      counters.Histogram `stat:"upstream_rq_time"` // milliseconds
}

// Calls are a cluster's calls of gRPC by service and method. Clients name these: so there
// are at most maxMethods, each of names as a .proto file has them, of maxMethodName bytes at
// most together. All other calls are counted as those without a name.
type Calls struct {
	rest Call

	mu    sync.RWMutex
	named map[method]*Call
}

type method struct{ service, name string }

const (
	maxMethods    = 500
	maxMethodName = 256
)

// Rest are the calls without a name of their own.
func (c *Calls) Rest() *Call { return &c.rest }

// Of are the calls of a method. The names are copied where they are kept.
func (c *Calls) Of(service, name string) *Call {
	m := method{service, name}
	c.mu.RLock()
	found := c.named[m]
	c.mu.RUnlock()
	if found != nil {
		return found
	}
	if len(service)+len(name) > maxMethodName || !identifiers(service) || !identifier(name) {
		return &c.rest
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if found = c.named[m]; found != nil {
		return found
	}
	if len(c.named) >= maxMethods {
		return &c.rest
	}
	if c.named == nil {
		c.named = map[method]*Call{}
	}
	found = new(Call)
	c.named[method{strings.Clone(service), strings.Clone(name)}] = found
	return found
}

// List implements counters.Lister.
func (c *Calls) List(each func(prefix string, in any)) {
	each("", &c.rest)
	c.mu.RLock()
	defer c.mu.RUnlock()
	for m, in := range c.named {
		each(m.service+"."+m.name+".", in)
	}
}

// identifiers tells whether it is a name with those of packages in front, by dots.
func identifiers(s string) bool {
	for part := range strings.SplitSeq(s, ".") {
		if !identifier(part) {
			return false
		}
	}
	return true
}

// identifier tells whether it is an ident of protobuf: no dot, nothing that a statistic's
// name could not have.
func identifier(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case c|0x20 >= 'a' && c|0x20 <= 'z', c == '_', i > 0 && c >= '0' && c <= '9':
		default:
			return false
		}
	}
	return s != ""
}
