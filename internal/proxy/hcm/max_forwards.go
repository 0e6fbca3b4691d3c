package hcm

import (
	"net/http"
	"strconv"
)

// lastForward counts down the Max-Forwards of OPTIONS and TRACE (RFC 9110, 7.6.2). It
// returns true if it has answered, as whoever is asked last: nothing to say, and no
// TRACE, which would show the request with its token.
func (s *session) lastForward() bool {
	x := s.x
	if m := x.Request.Method; m != http.MethodOptions && m != http.MethodTrace {
		return false
	}
	h := &x.Request.Header
	text, there := h.Lookup("max-forwards")
	if !there {
		return false
	}
	n, err := strconv.ParseUint(text, 10, 32)
	switch {
	case err != nil:
		x.Reply(http.StatusBadRequest, "", "invalid_max_forwards")
	case n > 0:
		h.Set("max-forwards", strconv.FormatUint(n-1, 10))
		return false
	case x.Request.Method == http.MethodTrace:
		x.Reply(http.StatusNotImplemented, "", "max_forwards_reached")
	default:
		x.Reply(http.StatusOK, "", "max_forwards_reached")
	}
	return true
}
