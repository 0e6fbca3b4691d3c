package xdsgen

import (
	"strings"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
)

// TestLongAnswers: a table says that its answers are long only where they are.
func TestLongAnswers(t *testing.T) {
	for size, want := range map[int]bool{0: false, defaultAnswer: false, defaultAnswer + 1: true} {
		d := &routev3.DirectResponseAction{Body: &corev3.DataSource{Specifier: &corev3.DataSource_InlineString{InlineString: strings.Repeat("a", size)}}}
		cfg := longAnswers(&routev3.RouteConfiguration{VirtualHosts: []*routev3.VirtualHost{{Routes: []*routev3.Route{{Action: &routev3.Route_DirectResponse{DirectResponse: d}}}}}})
		if got := cfg.GetMaxDirectResponseBodySizeBytes().GetValue() == longestAnswer; got != want {
			t.Errorf("%d bytes: %v", size, got)
		}
	}
}
