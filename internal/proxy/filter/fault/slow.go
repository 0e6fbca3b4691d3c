package fault

import (
	"time"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
)

// slices is how many pieces a second's content is given in.
const slices = 16

// slow is content that is given at a rate. What it may give at once is a slice; slices
// that nobody has taken add up to a second's.
type slow struct {
	exchange.Content
	slice int // bytes
	left  int // of the slice that is being given
	have  float64
	at    time.Time // when have was counted
	now   func() time.Time
	sleep func(time.Duration)
}

// newSlow begins with one slice.
func newSlow(src exchange.Content, bytesPerSecond uint64) *slow {
	return &slow{Content: src, slice: int(max(bytesPerSecond/slices, 1)), have: 1, at: time.Now(), now: time.Now, sleep: time.Sleep}
}

// Read implements io.Reader. It waits for the next slice.
func (s *slow) Read(p []byte) (int, error) {
	for s.left == 0 {
		now := s.now()
		s.have, s.at = min(s.have+now.Sub(s.at).Seconds()*slices, slices), now
		if s.have >= 1 {
			s.have--
			s.left = s.slice
			break
		}
		s.sleep(time.Duration((1 - s.have) / slices * float64(time.Second)))
	}
	n, err := s.Content.Read(p[:min(len(p), s.left)])
	s.left -= n
	return n, err
}

// Whole: it is not to be had at once.
func (s *slow) Whole() ([]byte, bool) { return nil, false }

// Buffered implements exchange.Content: what is at hand is not before its slice comes.
func (s *slow) Buffered() int { return min(s.left, s.Content.Buffered()) }
