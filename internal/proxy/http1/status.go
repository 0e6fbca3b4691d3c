package http1

import (
	"net/http"
	"strconv"
)

// statusLines holds the status lines of all known statuses, so that none is
// built for a response.
var statusLines = makeStatusLines()

func makeStatusLines() (t [600]string) {
	for s := 100; s < 600; s++ {
		if reason := http.StatusText(s); reason != "" {
			t[s] = "HTTP/1.1 " + strconv.Itoa(s) + " " + reason + "\r\n"
		}
	}
	return t
}

// statusText gives the status line; the reason phrase of the other side is not
// passed on (it means nothing, RFC 9112, 4).
func statusText(s int) string {
	if s > 0 && s < len(statusLines) && statusLines[s] != "" {
		return statusLines[s]
	}
	return "HTTP/1.1 " + strconv.Itoa(s) + " Unknown\r\n"
}
