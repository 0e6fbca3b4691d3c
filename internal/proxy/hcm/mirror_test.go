package hcm

import (
	"bytes"
	"io"
	"testing"
)

// plainBody is content that comes in pieces.
type plainBody struct{ *bytes.Reader }

func (b plainBody) Whole() ([]byte, bool) { return nil, false }
func (b plainBody) Skip()                 {}
func (b plainBody) Done() bool            { return b.Len() == 0 }
func (b plainBody) Buffered() int         { return 0 }

// TestTeed: content is kept for copies up to a bound, and passed on in any case.
func TestTeed(t *testing.T) {
	for _, size := range []int{0, 1, maxMirrored, maxMirrored + 1, 4 * maxMirrored} {
		sent := bytes.Repeat([]byte("x"), size)
		b := &teed{content: plainBody{bytes.NewReader(sent)}, copies: &copies{}}
		got, err := io.ReadAll(b)
		if err != nil || !bytes.Equal(got, sent) {
			t.Fatalf("%d: %v, %d bytes", size, err, len(got))
		}
		if b.copies.sent.Load() != (size <= maxMirrored) {
			t.Errorf("%d: sent %v", size, b.copies.sent.Load())
		}
		if cap(b.data) > 2*maxMirrored {
			t.Errorf("%d: %d bytes are held", size, cap(b.data))
		}
	}
}
