package http2

import "strings"

// keptField is a field in memory that lasts.
type keptField struct{ name, value string }

// Bounds of what kept holds, and of one field of it.
const (
	maxKept  = 128
	largeKey = 256
)

// keep gives the same field in memory that lasts. A message's strings hold as long as the
// message, but what the HPACK encoder puts into its table is looked up there by later
// ones. The lock is held.
func (c *Conn) keep(f keptField) keptField {
	if k, ok := c.kept[f]; ok {
		return k
	}
	k := keptField{strings.Clone(f.name), strings.Clone(f.value)}
	if len(f.name)+len(f.value) > largeKey {
		return k
	}
	if len(c.kept) >= maxKept {
		clear(c.kept)
	} else if c.kept == nil {
		c.kept = map[keptField]keptField{}
	}
	c.kept[k] = k
	return k
}
