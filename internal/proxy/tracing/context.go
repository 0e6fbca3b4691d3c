package tracing

import (
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"strings"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
)

// traceContext is what one hop tells the next of a trace (W3C Trace Context, 3).
type traceContext struct {
	trace   [16]byte
	span    [8]byte
	parent  [8]byte
	child   bool // there is a parent
	sampled bool
	state   string

	// Of B3:
	wide      bool // the trace's id has 128 bits
	single    bool // it came in one field, and goes on in one
	undecided bool // nothing was said about sampling
}

// propagation is how traces are told from hop to hop.
type propagation interface {
	// start makes the context of a request's span, which is the client's side if client.
	// Traced is what Decide said. False: what the request says of its trace cannot be read.
	start(h *exchange.Header, traced, client bool) (c traceContext, ok bool)
	// inject writes the context into a request.
	inject(c *traceContext, h *exchange.Header)
}

const (
	parentHeader = "traceparent"
	stateHeader  = "tracestate"
	parentLength = 55   // 2 + 32 + 16 + 2 digits and three hyphens
	maxState     = 8192 // bytes that go on; the recommendation wants 512 at least
)

// extract reads the context that a request brings. There is none without the header, and
// it is bad if it cannot be read.
func extract(h *exchange.Header) (c traceContext, there, ok bool) {
	p, there := h.Lookup(parentHeader)
	if !there || len(p) != parentLength || p[2] != '-' || p[35] != '-' || p[52] != '-' {
		return c, there, false
	}
	var version, flags [1]byte
	for _, f := range []struct {
		to   []byte
		text string
	}{{version[:], p[:2]}, {c.trace[:], p[3:35]}, {c.span[:], p[36:52]}, {flags[:], p[53:]}} {
		if _, err := hex.Decode(f.to, []byte(f.text)); err != nil {
			return c, true, false
		}
	}
	if c.trace == [16]byte{} || c.span == [8]byte{} {
		return c, true, false
	}
	c.sampled = flags[0]&1 != 0
	var states []string
	for _, f := range h.Fields() {
		if f.Name == stateHeader {
			states = append(states, f.Value)
		}
	}
	if s := strings.Join(states, ","); len(s) <= maxState {
		c.state = s
	}
	return c, true, true
}

// w3c tells traces on by W3C Trace Context.
type w3c struct{}

func (w3c) start(h *exchange.Header, traced, _ bool) (c traceContext, ok bool) {
	from, there, ok := extract(h)
	switch {
	case there && !ok:
		return c, false
	case there:
		c = from
		c.parent, c.child = from.span, true
		c.sampled = from.sampled && traced // so nobody outside has more traced than is wanted here
	default:
		random(c.trace[:])
		c.sampled = traced
	}
	c.wide = true
	random(c.span[:])
	return c, true
}

// inject writes an empty state, too, as in Envoy.
func (w3c) inject(c *traceContext, h *exchange.Header) {
	h.Set(parentHeader, c.parentOf())
	h.Set(stateHeader, c.state)
}

// parentOf gives the context as traceparent.
func (c *traceContext) parentOf() string {
	b := make([]byte, 0, parentLength)
	b = append(b, "00-"...)
	b = hex.AppendEncode(b, c.trace[:])
	b = append(b, '-')
	b = hex.AppendEncode(b, c.span[:])
	if c.sampled {
		b = append(b, "-01"...)
	} else {
		b = append(b, "-00"...)
	}
	return string(b)
}

// id gives the trace's id in as many bytes as it has.
func (c *traceContext) id() []byte {
	if !c.wide {
		return c.trace[8:]
	}
	return c.trace[:]
}

// random fills an identifier, which is never all zeros.
func random(b []byte) {
	for {
		var zero uint64
		for i := 0; i < len(b); i += 8 {
			n := rand.Uint64()
			zero |= n
			binary.LittleEndian.PutUint64(b[i:], n)
		}
		if zero != 0 {
			return
		}
	}
}
