package xds

// What a client is known to have of a name that is in no map.
const (
	absent  = ""  // nothing
	unknown = "?" // something, but not which version
)

// holding is what a client has of one kind: a shared map, as far as the client
// asked for its names, and where it differs.
type holding struct {
	wildcard bool
	names    *nameSet
	base     resources
	over     map[string]string // name -> version; nil when there is no difference
}

func (h *holding) covers(name string) bool { return h.wildcard || h.names.has(name) }

// version is what the client has of a name that the holding covers.
func (h *holding) version(name string) string {
	if v, ok := h.over[name]; ok {
		return v
	}
	return versionIn(h.base, name)
}

func (h *holding) set(name, version string) {
	if h.over == nil {
		h.over = map[string]string{}
	}
	h.over[name] = version
}

func (h *holding) forget(name string) {
	delete(h.over, name)
	if len(h.over) == 0 {
		h.over = nil
	}
}

// rebase makes another map the one that the client holds, and keeps as
// differences only what differs from it.
func (h *holding) rebase(base resources) {
	h.base = base
	for n, v := range h.over {
		if v == versionIn(base, n) {
			delete(h.over, n)
		}
	}
	if len(h.over) == 0 {
		h.over = nil
	}
}

func versionIn(r resources, name string) string {
	if res := r[name]; res != nil {
		return res.Version
	}
	return absent
}
