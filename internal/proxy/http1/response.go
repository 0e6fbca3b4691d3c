package http1

import (
	"github.com/usher-mesh/usher/internal/proxy/exchange"
)

// Response parses the buffered head (see Complete) into rs, whose Header and
// Trailer must be empty. Method is the request's: it decides whether there is a
// body. A status of 1xx is an interim answer: call Next and go on, unless it is
// the 101 that was asked for, after which Take gives the first bytes of the
// other protocol. An error is an *Error.
func (r *Reader) Response(rs *exchange.Response, method string) error {
	r.KeepAlive, r.Expect, r.Absolute = false, false, false
	l, rest, err := line(r.takeHead())
	if err != nil {
		return err
	}
	minor, err := statusLine(l, rs)
	if err != nil {
		return err
	}
	f := &r.framing
	if err = r.fields(rest, &rs.Header, f); err != nil {
		return err
	}
	if err = f.coding(); err != nil {
		return err
	}
	if f.codings > 0 && minor == 0 {
		return errCodingBody
	}
	r.KeepAlive = !f.close && (minor == 1 || f.keepAlive)
	rs.Body = nil
	if f.proto != "" && (rs.Status == 101 || rs.Status == 426) { // in others it means nothing to this client
		rs.Header.Add("upgrade", f.proto)
	}
	switch {
	case rs.Status < 200 || rs.Status == 204:
		if f.codings > 0 || f.length > 0 && rs.Status != 204 {
			return errCodingBody
		}
		rs.ContentLength = 0
		rs.Header.Del("content-length")
	case method == "HEAD" || rs.Status == 304:
		rs.ContentLength = f.length
	case method == "CONNECT" && rs.Status < 300:
		rs.ContentLength = 0
	case f.chunked:
		rs.ContentLength = exchange.UnknownLength
		r.pin()
		r.body = Body{r: r, kind: chunkedBody, trailer: &rs.Trailer}
		rs.Body = &r.body
	case f.length == 0:
		rs.ContentLength = 0
	case f.length > 0:
		rs.ContentLength = f.length
		r.body = Body{r: r, kind: lengthBody, left: f.length}
		rs.Body = &r.body
	default:
		rs.ContentLength = exchange.UnknownLength
		r.KeepAlive = false
		r.body = Body{r: r, kind: closeBody}
		rs.Body = &r.body
	}
	return nil
}

// statusLine parses "HTTP/1.1 200 reason" (RFC 9112, 4).
func statusLine(l []byte, rs *exchange.Response) (minor int, err error) {
	if len(l) < 12 || string(l[:7]) != "HTTP/1." || l[7] != '0' && l[7] != '1' || l[8] != ' ' {
		return 0, errStatusLine
	}
	status := 0
	for _, c := range l[9:12] {
		if c < '0' || c > '9' {
			return 0, errStatusLine
		}
		status = status*10 + int(c-'0')
	}
	if status < 100 || len(l) > 12 && (l[12] != ' ' || !values(view(l[13:]))) {
		return 0, errStatusLine
	}
	rs.Status = status
	return int(l[7] - '0'), nil
}
