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
	sampled bool
	state   string
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

// inject writes the context into a request. An empty state is written, too, as in Envoy.
func (c *traceContext) inject(h *exchange.Header) {
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
	h.Set(parentHeader, string(b))
	h.Set(stateHeader, c.state)
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
