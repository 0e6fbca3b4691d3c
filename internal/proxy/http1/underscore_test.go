package http1

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
)

func TestUnderscores(t *testing.T) {
	const head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"
	for _, c := range []struct {
		name, message       string
		action              Underscores
		headers, trailers   int
		refused, badTrailer bool
	}{
		{"allowed", head + "a_b: c\r\n\r\n0\r\nd_e: f\r\ng: h\r\n\r\n", AllowUnderscores, 1, 2, false, false},
		{"dropped", head + "a_b: c\r\nd: e\r\n\r\n0\r\nd_e: f\r\ng: h\r\n\r\n", DropUnderscores, 1, 1, false, false},
		{"refused", head + "a_b: c\r\n\r\n0\r\n\r\n", RefuseUnderscores, 0, 0, true, false},
		{"refused trailer", head + "a: c\r\n\r\n0\r\nd_e: f\r\n\r\n", RefuseUnderscores, 1, 0, false, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := NewReader(strings.NewReader(c.message), nil)
			defer r.Close()
			r.Limits = Limits{Trailers: true, Underscores: c.action}
			r.Next()
			for {
				if ok, err := r.Complete(); ok || err != nil {
					break
				}
				if err := r.Fill(); err != nil {
					t.Fatal(err)
				}
			}
			var rq exchange.Request
			err := r.Request(&rq)
			if e := new(Error); errors.As(err, &e) != c.refused {
				t.Fatal(err)
			}
			if c.refused {
				return
			}
			_, err = io.ReadAll(rq.Body)
			if (err != nil) != c.badTrailer || len(rq.Header.Fields()) != c.headers || len(rq.Trailer.Fields()) != c.trailers {
				t.Errorf("%v %v %v", err, rq.Header.Fields(), rq.Trailer.Fields())
			}
		})
	}
}
