package cli

import (
	"strings"
	"testing"
	"time"

	"github.com/usher-mesh/usher/internal/control/standalone"
)

func TestUpEnvironment(t *testing.T) {
	for _, c := range []struct {
		refresh, maxAge string
		want            standalone.Options
		fault           string
	}{
		{want: standalone.Options{}},
		{refresh: "20m", maxAge: "48h", want: standalone.Options{KeyRefresh: 20 * time.Minute, KeyMaxAge: 48 * time.Hour}},
		{refresh: "20", fault: refreshVar},
		{refresh: "1ms", fault: refreshVar},
		{maxAge: "1s", fault: maxAgeVar},
		{maxAge: "10000h", fault: maxAgeVar},
		{maxAge: "-1h", fault: maxAgeVar},
	} {
		t.Setenv(refreshVar, c.refresh)
		t.Setenv(maxAgeVar, c.maxAge)
		var o standalone.Options
		err := readEnviron(&o)
		if c.fault != "" {
			if err == nil || !strings.HasPrefix(err.Error(), c.fault+"=") {
				t.Errorf("%q %q: %v", c.refresh, c.maxAge, err)
			}
			continue
		}
		if err != nil || o.KeyRefresh != c.want.KeyRefresh || o.KeyMaxAge != c.want.KeyMaxAge {
			t.Errorf("%q %q: %+v, %v", c.refresh, c.maxAge, o, err)
		}
	}
}
