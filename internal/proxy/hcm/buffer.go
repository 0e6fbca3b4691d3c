package hcm

import (
	"errors"
	"io"
	"os"
	"time"

	"github.com/usher-mesh/usher/internal/proxy/buffer"
	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/http1"
)

// buffer reads the request's content for a filter: see exchange.Exchange.Buffer.
func (s *session) buffer(most int, partial bool) (b []byte, whole, ok bool) {
	x := s.x
	body, _ := x.Request.Body.(content)
	if body == nil {
		return nil, true, true
	}
	if !partial && x.Request.ContentLength > int64(most) {
		return nil, false, s.tooLarge()
	}
	if all, is := body.Whole(); is {
		if len(all) <= most {
			return all, true, true
		}
		return all[:most], false, partial || s.tooLarge()
	}
	h, again := body.(*buffered)
	if !again {
		if s.expect && body.Buffered() == 0 {
			s.expect = false
			s.deadline(time.Now(), s.m.streamIdle)
			if s.w.Interim(&goOn) != nil {
				return nil, false, s.left()
			}
		}
		h = &buffered{rest: body, trailer: &x.Request.Trailer}
		x.Request.Body = h
	}
	if err := h.fill(s, most, partial); err != nil {
		return nil, false, s.unread(err)
	}
	if len(h.data) <= most {
		return h.data, h.ended, true
	}
	return h.data[:most], false, partial || s.tooLarge()
}

// tooLarge answers a request whose content is larger than a filter takes.
func (s *session) tooLarge() bool {
	s.x.Reply(413, "Payload Too Large", "request_payload_too_large")
	return false
}

// left notes that the client is gone.
func (s *session) left() bool {
	s.lost.Store(true)
	return false
}

// unread answers a request whose content did not come.
func (s *session) unread(err error) bool {
	x := s.x
	var e *http1.Error
	switch {
	case errors.As(err, &e):
		x.Flags = "DPE"
		x.Reply(e.Status, "Bad Request", e.Detail)
	case !errors.Is(err, os.ErrDeadlineExceeded):
		return s.left()
	case s.whole.IsZero() || time.Now().Before(s.whole):
		s.fail(nil, errRequestIdle)
	default:
		x.Flags = "SI"
		x.Reply(408, "request timeout", "request_overall_timeout")
	}
	return false
}

// buffered is content of which the beginning was read for a filter.
type buffered struct {
	rest    content
	data    []byte
	at      int              // read of it
	ended   bool             // rest is at its end
	trailer *exchange.Header // what came after it
}

// fill reads on until the end, until there is more than most, or, if a part is enough,
// until there are most bytes.
func (h *buffered) fill(s *session, most int, partial bool) error {
	for !h.ended {
		switch {
		case len(h.data) > most, partial && len(h.data) == most && most > 0 && !h.rest.Done():
			return nil
		}
		if cap(h.data) == len(h.data) { // grows with what comes, not with what is announced
			h.data = append(h.data, make([]byte, max(len(h.data), buffer.Small))...)[:len(h.data)]
		}
		s.nc.SetReadDeadline(s.bodyDeadline(s.m.streamIdle))
		room := h.data[len(h.data):min(cap(h.data), most+1)]
		n, err := h.rest.Read(room)
		h.data = h.data[:len(h.data)+n]
		h.ended = err == io.EOF || err == nil && h.rest.Done()
		if err != nil && err != io.EOF {
			return err
		}
	}
	return nil
}

// Read implements io.Reader.
func (h *buffered) Read(p []byte) (int, error) {
	if h.at < len(h.data) {
		n := copy(p, h.data[h.at:])
		h.at += n
		return n, nil
	}
	return h.rest.Read(p)
}

// Whole gives all of the content, if it has no trailers: those are sent after a Copy.
func (h *buffered) Whole() ([]byte, bool) {
	return h.data, h.ended && h.at == 0 && h.trailer.Len() == 0
}

// Skip uses up what Whole gave.
func (h *buffered) Skip() { h.at = len(h.data) }

// Done tells whether nothing comes any more.
func (h *buffered) Done() bool { return h.at == len(h.data) && (h.ended || h.rest.Done()) }

// Buffered counts what Read gives without waiting.
func (h *buffered) Buffered() int {
	if n := len(h.data) - h.at; n > 0 {
		return n
	}
	return h.rest.Buffered()
}
