package jose

import "encoding/json"

// Footprint is about what a value as DecodeJSON gives it takes in memory, in bytes.
// Text is counted as if each value had its own.
func Footprint(v any) int {
	switch v := v.(type) {
	case map[string]any:
		// A name and a value a slot, of which at least two in five are taken.
		n := 64 + 33*max(8, len(v)*5/2)
		for name, e := range v {
			n += len(name) + Footprint(e)
		}
		return n
	case []any:
		n := 24 + 16*cap(v)
		for _, e := range v {
			n += Footprint(e)
		}
		return n
	case string:
		return 16 + len(v)
	case json.Number:
		return 16 + len(v)
	}
	return 0
}
