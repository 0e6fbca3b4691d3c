package config

import (
	"testing"

	"google.golang.org/protobuf/types/known/wrapperspb"
)

// TestHandOffGuards: to hand connections to other listeners says who may pass.
func TestHandOffGuards(t *testing.T) {
	plain, hands := lis(t, "l", "", "p", ""), lis(t, "l", "", "p", "")
	if guardOfListener(plain) != guardOfListener(hands) {
		t.Fatal("the same listener has two digests")
	}
	hands.UseOriginalDst = wrapperspb.Bool(true)
	if guardOfListener(plain) == guardOfListener(hands) {
		t.Error("use_original_dst makes no difference")
	}
}
