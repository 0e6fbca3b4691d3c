package exchange

import (
	"fmt"
	"reflect"
	"testing"

	"github.com/usher-mesh/usher/internal/jsondoc"
)

func TestResetForgetsMetadata(t *testing.T) {
	x := new(Exchange)
	for i := range 3 {
		if x.Metadata["a"] != nil || len(x.Metadata) != 0 {
			t.Fatalf("request %d sees metadata of another: %v", i, x.Metadata)
		}
		v := jsondoc.Of(fmt.Sprint(i))
		x.SetMetadata("a", "k", v)
		x.SetMetadata("a", "l", v)
		x.SetMetadata("b", "k", v)
		if !reflect.DeepEqual(x.Metadata["a"], map[string]jsondoc.Value{"k": v, "l": v}) || len(x.Metadata["b"]) != 1 {
			t.Fatalf("request %d: %v", i, x.Metadata)
		}
		x.Reset()
	}
	v := jsondoc.Of("v")
	if n := testing.AllocsPerRun(10, func() { x.SetMetadata("a", "k", v); x.SetMetadata("b", "k", v); x.Reset() }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
