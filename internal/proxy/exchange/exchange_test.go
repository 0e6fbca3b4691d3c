package exchange

import "testing"

func TestResetForgetsMetadata(t *testing.T) {
	x := new(Exchange)
	for i := range 3 {
		if x.Metadata["a"] != nil || len(x.Metadata) != 0 {
			t.Fatalf("request %d sees metadata of another: %v", i, x.Metadata)
		}
		x.SetMetadata("a", "k", i)
		x.SetMetadata("a", "l", i)
		x.SetMetadata("b", "k", i)
		if x.Metadata["a"]["k"] != i || x.Metadata["a"]["l"] != i || len(x.Metadata["b"]) != 1 {
			t.Fatalf("request %d: %v", i, x.Metadata)
		}
		x.Reset()
	}
	if n := testing.AllocsPerRun(10, func() { x.SetMetadata("a", "k", "v"); x.SetMetadata("b", "k", "v"); x.Reset() }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
