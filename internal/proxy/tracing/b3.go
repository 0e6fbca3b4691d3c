package tracing

import (
	"encoding/binary"
	"encoding/hex"
	"strings"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
)

// The fields of B3 (openzipkin's b3-propagation), one for all or one for each value.
const (
	b3Header        = "b3"
	b3TraceHeader   = "x-b3-traceid"
	b3SpanHeader    = "x-b3-spanid"
	b3ParentHeader  = "x-b3-parentspanid"
	b3SampledHeader = "x-b3-sampled"
)

// b3 tells traces on in Zipkin's form, as Envoy does: in the one field "b3" if they came so.
type b3 struct {
	wide   bool // new traces have ids of 128 bits
	shared bool // a server's span is that of its client
	w3c    bool // W3C's form is taken without B3's, and is told besides
}

// start makes the context of a request's span, which is the client's side if client.
func (p *b3) start(h *exchange.Header, traced, client bool) (c traceContext, ok bool) {
	from, found, ok := extractB3(h)
	if !ok {
		return c, false
	}
	if p.w3c && (!found || from.undecided) {
		if other, _, ok := extract(h); ok {
			if from.undecided {
				from.sampled, from.undecided = other.sampled, false
			}
			if !found {
				other.sampled = from.sampled
				from, found = other, true
			}
		}
	}
	c = from
	c.sampled = traced && (from.undecided || from.sampled) // so nobody outside has more traced than is wanted here
	switch {
	case !found:
		random(c.trace[8:])
		copy(c.span[:], c.trace[8:])
		if p.wide {
			random(c.trace[:8])
		}
	case client || !p.shared:
		c.parent, c.child = c.span, true
		random(c.span[:])
	default:
		c.child = c.parent != [8]byte{}
	}
	c.wide = c.wide || [8]byte(c.trace[:8]) != [8]byte{}
	return c, true
}

// extractB3 reads the context that a request brings, if it is found. It is not ok if it
// cannot be read.
func extractB3(h *exchange.Header) (c traceContext, found, ok bool) {
	c.undecided = true
	if v, there := h.Lookup(b3Header); there {
		c.single = true
		found, ok = c.readSingle(v)
		return c, found, ok
	}
	if v, there := h.Lookup(b3SampledHeader); there {
		c.sampled, c.undecided = v == "1" || v == "true", false
	}
	trace, hasTrace := h.Lookup(b3TraceHeader)
	span, hasSpan := h.Lookup(b3SpanHeader)
	if !hasTrace || !hasSpan {
		return c, false, true
	}
	ok = readTrace(&c.trace, trace) && readID(c.span[:], span)
	if parent := h.Get(b3ParentHeader); parent != "" {
		ok = ok && readID(c.parent[:], parent)
	}
	return c, ok, ok
}

// readSingle reads "TRACE-SPAN-SAMPLED-PARENT", of which the last two may be missing, or
// SAMPLED alone.
func (c *traceContext) readSingle(v string) (found, ok bool) {
	if len(v) == 1 {
		return false, c.readSampled(v)
	}
	if len(v) > 32+1+16+3+16 {
		return false, false
	}
	parts := strings.Split(v, "-")
	switch {
	case len(parts) < 2 || len(parts) > 4, len(parts[0]) != 16 && len(parts[0]) != 32, len(parts[1]) != 16,
		!readTrace(&c.trace, parts[0]) || !readID(c.span[:], parts[1]),
		len(parts) > 2 && !c.readSampled(parts[2]),
		len(parts) > 3 && (len(parts[3]) != 16 || !readID(c.parent[:], parts[3])):
		return false, false
	}
	return true, true
}

// readSampled reads the flag: d asks for debugging, which nothing but sampling is done for.
func (c *traceContext) readSampled(v string) bool {
	c.sampled, c.undecided = v == "1" || v == "d", false
	return c.sampled || v == "0"
}

// readTrace reads an id of 32 digits, or as readID does.
func readTrace(to *[16]byte, s string) bool {
	if len(s) == 32 {
		_, err := hex.Decode(to[:], []byte(s))
		return err == nil
	}
	return readID(to[8:], s)
}

// readID reads an id of up to 16 digits.
func readID(to []byte, s string) bool {
	if s == "" || len(s) > 16 {
		return false
	}
	var n uint64
	for i := range len(s) {
		c := s[i]
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			c = c | 0x20 - 'a' + 10
		default:
			return false
		}
		n = n<<4 | uint64(c)
	}
	binary.BigEndian.PutUint64(to, n)
	return true
}

// inject writes the context into a request.
func (p *b3) inject(c *traceContext, h *exchange.Header) {
	trace, span, parent := hex.EncodeToString(c.trace[:]), hex.EncodeToString(c.span[:]), hex.EncodeToString(c.parent[:])
	if !c.wide {
		trace = trace[16:]
	}
	sampled := "0"
	if c.sampled {
		sampled = "1"
	}
	if c.single {
		all := trace + "-" + span + "-" + sampled
		if c.child {
			all += "-" + parent
		}
		h.Set(b3Header, all)
	} else {
		h.Set(b3TraceHeader, trace)
		h.Set(b3SpanHeader, span)
		if c.child {
			h.Set(b3ParentHeader, parent)
		}
		h.Set(b3SampledHeader, sampled)
	}
	if p.w3c {
		h.Set(parentHeader, c.parentOf())
	}
}
