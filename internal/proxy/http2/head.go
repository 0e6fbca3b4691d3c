package http2

import (
	"strings"

	"golang.org/x/net/http2/hpack"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/http1"
)

// headKind is what a block of fields is.
type headKind uint8

const (
	requestHead headKind = iota
	responseHead
	trailerHead
)

// head is a block of fields as it is decoded.
type head struct {
	kind                            headKind
	method, scheme, authority, path string
	protocol                        string // that the stream shall carry (RFC 8441)
	status                          int
	header                          exchange.Header
	length                          int64 // declared, or exchange.UnknownLength
	host                            string
	hosts, lengths, cookies         int
	pseudo                          uint8 // which were seen
	regular                         bool  // a field that is not a pseudo one was seen
	expect                          bool
	size, count                     int
	tooLarge                        bool
	malformed                       string // why; "" if it is not
	underscore                      bool   // that is a matter of the stream alone
}

// Bits of pseudo fields.
const (
	sawMethod = 1 << iota
	sawScheme
	sawAuthority
	sawPath
	sawStatus
	sawProtocol
)

func (h *head) reset(kind headKind) {
	fields := h.header
	fields.Reset()
	*h = head{kind: kind, header: fields, length: exchange.UnknownLength}
}

func (h *head) bad(why string) {
	if h.malformed == "" {
		h.malformed = why
	}
}

// add takes one decoded field (RFC 9113, 8.2 and 8.3).
func (h *head) add(f hpack.HeaderField, o *Options) {
	h.size += len(f.Name) + len(f.Value) + 32
	h.count++
	if h.size > o.HeadBytes || h.count > o.Fields+5 {
		h.tooLarge = true
		return
	}
	if h.malformed != "" {
		return
	}
	if !http1.ValidValue(f.Value) || f.Value != "" && (space(f.Value[0]) || space(f.Value[len(f.Value)-1])) {
		h.bad("field value")
		return
	}
	if f.Name != "" && f.Name[0] == ':' {
		h.addPseudo(f.Name, f.Value, o)
		return
	}
	h.regular = true
	if !http1.ValidName(f.Name) {
		h.bad("field name")
		return
	}
	switch o.Underscores.Of(f.Name) {
	case http1.DropUnderscores:
		return
	case http1.RefuseUnderscores:
		h.underscore = true
		h.bad("underscore in a field name")
		return
	}
	if h.kind == trailerHead {
		if !http1.ValidTrailer(f.Name) {
			h.bad("field not allowed as trailer")
			return
		}
		h.header.Add(f.Name, f.Value)
		return
	}
	if h.special(f.Name, f.Value) {
		h.header.Add(f.Name, f.Value)
	}
}

func space(c byte) bool { return c == ' ' || c == '\t' }

func (h *head) addPseudo(name, value string, o *Options) {
	var bit uint8
	var to *string
	switch name {
	case ":method":
		bit, to = sawMethod, &h.method
	case ":scheme":
		bit, to = sawScheme, &h.scheme
	case ":authority":
		bit, to = sawAuthority, &h.authority
	case ":path":
		bit, to = sawPath, &h.path
	case ":status":
		bit = sawStatus
	case ":protocol":
		if o.Connect {
			bit, to = sawProtocol, &h.protocol
		}
	}
	switch {
	case bit == 0, h.regular, h.pseudo&bit != 0, h.kind == trailerHead, (bit == sawStatus) != (h.kind == responseHead):
		h.bad("pseudo field")
		return
	}
	h.pseudo |= bit
	if bit != sawStatus {
		*to = value
		return
	}
	if len(value) != 3 {
		h.bad("status")
		return
	}
	for i := range 3 {
		if value[i] < '0' || value[i] > '9' {
			h.bad("status")
			return
		}
		h.status = h.status*10 + int(value[i]-'0')
	}
	if h.status < 100 || h.status == 101 {
		h.bad("status")
	}
}

// special notes fields that concern the message's form. It tells whether the field
// is also passed on.
func (h *head) special(name, value string) bool {
	switch name {
	case "connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade":
		h.bad("connection-specific field")
		return false
	case "te":
		if !strings.EqualFold(value, "trailers") {
			h.bad("te")
		}
		return true
	case "host":
		h.hosts++
		h.host = value
		return h.kind == responseHead
	case "content-length":
		n, ok := http1.ValidLength(value)
		if h.lengths++; !ok || h.lengths > 1 {
			h.bad("content-length")
		}
		h.length = n
	case "cookie":
		h.cookies++
	case "expect":
		if h.kind == requestHead {
			if !strings.EqualFold(value, "100-continue") {
				h.bad("expect")
			}
			h.expect = true
			return false
		}
	}
	return true
}

// close checks the whole block.
func (h *head) close(o *Options) {
	switch {
	case h.malformed != "":
	case h.kind == responseHead && h.status == 0:
		h.bad("no status")
	case h.kind == requestHead:
		h.target(o)
		if h.cookies > 1 {
			h.joinCookies()
		}
	}
}

// target checks the pseudo fields of a request (RFC 9113, 8.3.1 and 8.5).
func (h *head) target(o *Options) {
	if h.hosts > 1 {
		h.bad("several Host fields")
		return
	}
	if h.hosts == 1 {
		switch {
		case h.pseudo&sawAuthority == 0:
			h.authority = h.host
		case !strings.EqualFold(h.authority, h.host):
			h.bad("Host other than :authority")
			return
		}
	}
	if h.pseudo&sawProtocol != 0 {
		h.checkProtocol()
	}
	if !http1.ValidMethod(h.method, o.CustomMethods) {
		h.bad("method")
		return
	}
	if !http1.ValidAuthority(h.authority) {
		h.bad("authority")
		return
	}
	if h.method == "CONNECT" {
		if h.pseudo&(sawScheme|sawPath) != 0 || strings.LastIndexByte(h.authority, ':') <= strings.LastIndexByte(h.authority, ']') {
			h.bad("CONNECT")
		}
		return
	}
	if h.scheme != "http" && h.scheme != "https" {
		h.bad("scheme")
		return
	}
	if !http1.ValidTarget(h.path) || h.path[0] != '/' && (h.path != "*" || h.method != "OPTIONS") {
		h.bad("path")
	}
}

// joinCookies makes one field of several (RFC 9113, 8.2.3).
func (h *head) joinCookies() {
	var b strings.Builder
	for _, f := range h.header.Fields() {
		if f.Name == "cookie" {
			if b.Len() > 0 {
				b.WriteString("; ")
			}
			b.WriteString(f.Value)
		}
	}
	h.header.Set("cookie", b.String())
}
