package buffer

import "testing"

// TestSizes: a buffer has the room that was asked for, also one that was used and cut.
func TestSizes(t *testing.T) {
	for _, n := range []int{0, 1, Small, Small + 1, Medium, Medium + 1, Large, Large + 1, Batch, Batch + 1} {
		for range 2 {
			b := Get(n)
			if len(b) < n || cap(b) != len(b) {
				t.Errorf("asked for %d, got %d of %d", n, len(b), cap(b))
			}
			Put(b[:0])
		}
	}
}

// A part of a buffer is not taken for one of another size.
func TestPutOfPart(t *testing.T) {
	b := Get(Large)
	Put(b[Large-Small+1:])
	if got := Get(Small); len(got) != Small {
		t.Errorf("got %d bytes", len(got))
	}
}

func TestLendingAllocatesNothing(t *testing.T) {
	Put(Get(Medium))
	if n := testing.AllocsPerRun(100, func() { Put(Get(Medium)) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
