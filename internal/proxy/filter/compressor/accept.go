package compressor

import (
	"strconv"
	"strings"
)

// identity is content as it is.
const identity = "identity"

// choice is what a client likes best of what can be had.
type choice struct {
	encoding string // identity for none
	wildcard bool   // it takes any
	invalid  bool   // nothing that it names can be had, or it excludes all
}

// choose reads an Accept-Encoding (RFC 9110, 12.5.3), by Envoy's rules: the highest weight
// wins, then what the client names first; preferred is chosen before others of its weight.
// Names are compared as they are written.
func choose(accept string, offered []offer) choice {
	best, weight := choice{encoding: identity, invalid: true}, 0.0
	for token := range strings.SplitSeq(accept, ",") {
		name, params, _ := strings.Cut(token, ";")
		name = strings.Trim(name, " \t")
		q := 1.0
		for p := range strings.SplitSeq(params, ";") {
			k, v, ok := strings.Cut(p, "=")
			if !ok || !strings.EqualFold(strings.Trim(k, " \t"), "q") {
				continue
			}
			n, err := strconv.ParseFloat(strings.Trim(v, " \t"), 64)
			if err != nil || !(n >= 0) {
				n = 0
			}
			q = n
		}
		c := choice{encoding: name}
		switch name {
		case identity:
		case "*":
			c.encoding, c.wildcard = identity, true
			if len(offered) > 0 {
				c.encoding = offered[0].encoding
			}
		default:
			if !has(offered, name) {
				continue
			}
		}
		if q > weight || q == weight && q > 0 && preferred(offered, c.encoding) && !c.wildcard {
			best, weight = c, q
		}
	}
	return best
}

// offer is an encoding that some filter of the chain can make.
type offer struct {
	encoding  string
	preferred bool
}

func has(l []offer, encoding string) bool {
	for _, o := range l {
		if o.encoding == encoding {
			return true
		}
	}
	return false
}

func preferred(l []offer, encoding string) bool {
	for _, o := range l {
		if o.encoding == encoding && o.preferred {
			return true
		}
	}
	return false
}
