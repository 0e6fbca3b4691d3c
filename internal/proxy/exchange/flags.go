package exchange

import "strings"

// ResponseFlags gives all flags in the order in which they came up, with commas; "" for none.
func (x *Exchange) ResponseFlags() string {
	if !x.Delayed && x.Unretried == "" {
		return x.Flags
	}
	var all []string
	if x.Delayed {
		all = append(all, "DI")
	}
	if x.Unretried != "" {
		all = append(all, x.Unretried)
	}
	if x.Flags != "" && x.Flags != x.Unretried {
		all = append(all, x.Flags)
	}
	return strings.Join(all, ",")
}
