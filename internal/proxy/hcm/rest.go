package hcm

import (
	"sync"
	"time"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
)

// exchanges are those of no request. A connection has one while it serves a request, and a
// stream of HTTP/2 likewise: most of them wait, and an exchange is half of what one would hold
// then, not to speak of the texts of a request.
var exchanges = sync.Pool{New: func() any { return new(exchange.Exchange) }}

// asks are what filters may ask of the session, made once.
type asks struct {
	sleep  func(time.Duration) bool
	buffer func(int, bool) ([]byte, bool, bool)
	watch  func(func()) func()
}

func (s *session) hooks() { s.asks = asks{s.sleep, s.buffer, s.watchClient} }

// take gives the session an exchange for its next request.
func (s *session) take() {
	s.x = exchanges.Get().(*exchange.Exchange)
	s.x.Conn, s.x.Sleep, s.x.Buffer, s.x.Watch = s.c.Info, s.asks.sleep, s.asks.buffer, s.asks.watch
}

// rest gives it back when the request is over, with nothing of it left inside, and forgets the
// request. Who has taken the connection over keeps both.
func (s *session) rest() {
	s.ended = s.x.Ended
	s.x.Forget()
	exchanges.Put(s.x)
	s.x = nil
	s.current = current{}
}
