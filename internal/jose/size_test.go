package jose

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
)

// Whatever shape the claims have, a token takes what its size says.
func TestSize(t *testing.T) {
	const nested = 32 // as deep as is taken
	s := testSigners()
	var members []string
	for i := range 500 {
		members = append(members, fmt.Sprintf(`"m%d":%d`, i, i))
	}
	for name, claims := range map[string]string{
		"none":          `{}`,
		"usual":         benchClaims,
		"many members":  `{` + strings.Join(members, ",") + `}`,
		"small objects": `{"a":[` + strings.Repeat(`{"":0},`, 1000) + `0]}`,
		"empty lists":   `{"a":[` + strings.Repeat(`[],`, 2000) + `0]}`,
		"lists of one":  `{"a":[` + strings.Repeat(`[1],`, 2000) + `0]}`,
		"numbers":       `{"a":[` + strings.Repeat(`7,`, 4000) + `0]}`,
		"audiences":     `{"aud":[` + strings.Repeat(`"a",`, 2000) + `"b"]}`,
		"escapes":       `{"a":"` + strings.Repeat(`\u00e9`, 1500) + `"}`,
		"deep":          `{"a":` + strings.Repeat(`{"a":`, nested-1) + `1` + strings.Repeat(`}`, nested),
	} {
		text := s.token(t, "HS256", goodHeader, claims)
		var keep [50]*Token
		before := heap()
		for i := range keep {
			var err error
			if keep[i], err = Parse(strings.Clone(text), 0); err != nil {
				t.Fatal(name, err)
			}
		}
		held, size := (heap()-before)/len(keep), keep[0].Size()
		if size < held*9/10 || size > 2*held {
			t.Errorf("%s: %d bytes are held, the size is %d", name, held, size)
		}
		runtime.KeepAlive(keep)
	}
}
