package http1

import (
	"bytes"
	"strings"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
)

// Request parses the buffered head (see Complete) into rq, whose Header and
// Trailer must be empty. An error is an *Error.
func (r *Reader) Request(rq *exchange.Request) error {
	r.KeepAlive, r.Expect, r.Absolute = false, false, false
	l, rest, err := line(r.takeHead())
	if err != nil {
		return err
	}
	if len(l) == 0 { // one empty line before a request is ignored (RFC 9112, 2.2)
		if l, rest, err = line(rest); err != nil {
			return err
		}
	}
	target, err := r.requestLine(l, rq)
	if err != nil {
		return err
	}
	if rq.ProtoMinor == 0 && !r.Limits.HTTP10 {
		return errVersion
	}
	f := &r.framing
	if err = r.fields(rest, &rq.Header, f); err != nil {
		return err
	}
	if err = r.authority(target, rq, f); err != nil {
		return err
	}
	return r.requestBody(rq, f)
}

// requestLine parses method and version and gives the target.
func (r *Reader) requestLine(l []byte, rq *exchange.Request) ([]byte, error) {
	i := bytes.IndexByte(l, ' ')
	if i <= 0 {
		return nil, errRequestLine
	}
	j := bytes.LastIndexByte(l, ' ')
	if j <= i+1 {
		return nil, errRequestLine
	}
	method, target, version := l[:i], l[i+1:j], l[j+1:]
	if len(method) > 64 || !all(method, tokenByte) {
		return nil, errMethod
	}
	if len(version) != 8 || string(version[:5]) != "HTTP/" || version[6] != '.' ||
		version[5] < '0' || version[5] > '9' || version[7] < '0' || version[7] > '9' {
		return nil, errRequestLine
	}
	if version[5] != '1' || version[7] > '1' {
		return nil, errVersion
	}
	if !all(target, targetByte) {
		return nil, errTarget
	}
	if rq.Method = methodName(method); !r.Limits.CustomMethods && !registered(rq.Method) {
		return nil, errMethod
	}
	rq.ProtoMajor, rq.ProtoMinor = 1, int(version[7]-'0')
	return target, nil
}

// methodName spares a view into the buffer for the usual ones.
func methodName(b []byte) string {
	switch string(b) {
	case "GET":
		return "GET"
	case "POST":
		return "POST"
	}
	return view(b)
}

// registered tells whether a method is one of Envoy's list: of RFC 9110, WebDAV and
// their like.
func registered(s string) bool {
	switch s {
	case "GET", "POST",
		"ACL", "BIND", "CHECKOUT", "CONNECT", "COPY", "DELETE", "HEAD", "LINK", "LOCK", "MERGE", "MKACTIVITY", "MKCALENDAR",
		"MKCOL", "MOVE", "MSEARCH", "NOTIFY", "OPTIONS", "PATCH", "PROPFIND", "PROPPATCH", "PURGE", "PUT", "QUERY", "REBIND",
		"REPORT", "SEARCH", "SOURCE", "SUBSCRIBE", "TRACE", "UNBIND", "UNLINK", "UNLOCK", "UNSUBSCRIBE":
		return true
	}
	return false
}

// authority sets Authority, Path and Scheme from the target's form (RFC 9112,
// 3.2) and the Host field.
func (r *Reader) authority(target []byte, rq *exchange.Request, f *framing) error {
	if f.hosts > 1 {
		return errHosts
	}
	if f.hosts == 0 && rq.ProtoMinor == 0 && r.Limits.DefaultHost != "" {
		f.host, f.hosts = r.Limits.DefaultHost, 1
	}
	t := view(target)
	if rq.Method == "CONNECT" {
		if !ValidAuthority(t) || strings.LastIndexByte(t, ':') <= strings.LastIndexByte(t, ']') {
			return errTarget
		}
		rq.Authority, rq.Path = t, ""
		return checkHost(f, rq)
	}
	switch {
	case t[0] == '/':
		if err := checkHost(f, rq); err != nil {
			return err
		}
		rq.Authority, rq.Path = f.host, t
		return nil
	case t == "*":
		if rq.Method != "OPTIONS" {
			return errTarget
		}
		if err := checkHost(f, rq); err != nil {
			return err
		}
		rq.Authority, rq.Path = f.host, t
		return nil
	}
	i := strings.Index(t, "://")
	if i < 0 {
		return errTarget
	}
	switch {
	case equalFold(t[:i], "http"):
		rq.Scheme = "http"
	case equalFold(t[:i], "https"):
		rq.Scheme = "https"
	default:
		return errTarget
	}
	r.Absolute = true
	rest := t[i+3:]
	end := strings.IndexAny(rest, "/?")
	switch {
	case end < 0 && rq.Method == "OPTIONS": // of the server as a whole (RFC 9112, 3.2.4)
		rq.Authority, rq.Path = rest, "*"
	case end < 0:
		rq.Authority, rq.Path = rest, "/"
	default:
		rq.Authority, rq.Path = rest[:end], rest[end:]
	}
	if !ValidAuthority(rq.Authority) {
		return errTarget
	}
	if rq.Path[0] == '?' {
		rq.Path = "/" + rq.Path
	}
	return checkHost(f, rq)
}

// checkHost wants one valid Host field, even where the target overrides it.
func checkHost(f *framing, rq *exchange.Request) error {
	if f.hosts == 0 {
		if rq.ProtoMinor == 0 && rq.Authority != "" {
			return nil
		}
		return errNoHost
	}
	if !ValidAuthority(f.host) {
		return errHost
	}
	return nil
}

// requestBody decides where the request ends (RFC 9112, 6.3).
func (r *Reader) requestBody(rq *exchange.Request, f *framing) error {
	if err := f.coding(); err != nil {
		return err
	}
	if f.codings > 0 && rq.ProtoMinor == 0 {
		return errCodingBody
	}
	if f.proto != "" && f.upgrade && rq.ProtoMinor == 1 && f.proto != "h2c" {
		rq.Upgrade = f.proto
		if f.chunked || f.length > 0 {
			return errUpgrade
		}
		rq.Header.Add("upgrade", f.proto)
	}
	r.KeepAlive = !f.close && (rq.ProtoMinor == 1 || f.keepAlive)
	r.Expect = f.expect && rq.ProtoMinor == 1
	switch {
	case rq.Method == "CONNECT":
		if f.chunked || f.length > 0 {
			return errConnectBody
		}
		rq.ContentLength, rq.Body = 0, nil
	case f.chunked:
		rq.ContentLength = exchange.UnknownLength
		r.pin()
		r.body = Body{r: r, kind: chunkedBody, trailer: &rq.Trailer}
		rq.Body = &r.body
	case f.length > 0:
		rq.ContentLength = f.length
		r.body = Body{r: r, kind: lengthBody, left: f.length}
		rq.Body = &r.body
	default:
		rq.ContentLength, rq.Body = 0, nil
	}
	return nil
}
