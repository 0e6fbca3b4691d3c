package http2

import (
	"strconv"

	xh2 "golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
)

// openBlock begins a HEADERS frame whose length is not known, and tells where.
func (c *Conn) openBlock(id uint32) int {
	c.frame(xh2.FrameHeaders, xh2.FlagHeadersEndHeaders, id, 0)
	return len(c.out)
}

// closeBlock settles the frame that openBlock began, cut into several if it is large.
func (c *Conn) closeBlock(at int, id uint32, end bool) {
	var flags xh2.Flags
	if end {
		flags = xh2.FlagHeadersEndStream
	}
	n := len(c.out) - at
	h := c.out[at-9 : at]
	if n <= c.peerFrame {
		h[0], h[1], h[2], h[4] = byte(n>>16), byte(n>>8), byte(n), byte(flags|xh2.FlagHeadersEndHeaders)
		c.kick()
		return
	}
	block := append([]byte(nil), c.out[at:]...)
	c.out = c.out[:at-9]
	c.frames--
	t := xh2.FrameHeaders
	for first := true; len(block) > 0; first = false {
		part := block[:min(len(block), c.peerFrame)]
		block = block[len(part):]
		if !first {
			t, flags = xh2.FrameContinuation, 0
		}
		if len(block) == 0 {
			flags |= xh2.FlagHeadersEndHeaders
		}
		c.frame(t, flags, id, len(part))
		c.out = append(c.out, part...)
	}
	c.kick()
}

// field encodes one field. One that is unlikely to come again, or secret, is not put
// into the tables.
func (c *Conn) field(name, value string, once bool) {
	if !once {
		f := c.keep(keptField{name, value})
		name, value = f.name, f.value
	}
	_ = c.enc.WriteField(hpack.HeaderField{Name: name, Value: value, Sensitive: once})
}

func (c *Conn) requestFields(rq *exchange.Request) {
	if rq.Upgrade != "" { // RFC 8441, 4
		c.field(":method", "CONNECT", false)
		c.field(":protocol", rq.Upgrade, false)
	} else {
		c.field(":method", rq.Method, false)
	}
	if rq.Method != "CONNECT" {
		scheme := rq.Scheme
		if scheme == "" {
			scheme = "http"
		}
		c.field(":scheme", scheme, false)
	}
	c.field(":authority", rq.Authority, false)
	if rq.Method != "CONNECT" {
		c.field(":path", rq.Path, len(rq.Path) > 64)
	}
	c.fields(&rq.Header)
}

func (c *Conn) responseFields(rs *exchange.Response, none bool) {
	status := rs.Status
	if status == 101 {
		status = 200 // RFC 8441, 5
	}
	c.field(":status", statusText(status), false)
	c.fields(&rs.Header)
	if rs.Body == nil && rs.ContentLength > 0 && !none {
		if _, ok := rs.Header.Lookup("content-length"); !ok { // an answer of our own
			c.field("content-length", strconv.FormatInt(rs.ContentLength, 10), false)
		}
	}
}

// fields encodes all fields less those that HTTP/2 has not.
func (c *Conn) fields(h *exchange.Header) {
	for _, f := range h.Fields() {
		once := false
		switch f.Name {
		case "host", "connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade":
			continue
		case "authorization", "proxy-authorization", "cookie", "set-cookie", "x-request-id", "content-length", "etag", "location", "x-forwarded-for":
			once = true
		}
		c.field(f.Name, f.Value, once)
	}
}

var statuses = makeStatuses()

func makeStatuses() (t [600]string) {
	for i := range t {
		t[i] = strconv.Itoa(i)
	}
	return t
}

func statusText(s int) string {
	if s >= 0 && s < len(statuses) {
		return statuses[s]
	}
	return strconv.Itoa(s)
}
