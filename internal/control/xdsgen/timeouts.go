package xdsgen

import "time"

const (
	// idleTimeout closes a client's connection on which nothing happens.
	idleTimeout = time.Hour
	// headersTimeout bounds how long a client may take for a request's head.
	headersTimeout = time.Minute
	// streamIdleTimeout ends a request of a gateway in which nothing happens either way,
	// such as one whose content does not come: Envoy's default, which Istio turns off.
	streamIdleTimeout = 5 * time.Minute
)

// streamIdle is that of a gateway, where anybody may come in; sidecars leave it to who
// called them.
func (m *manager) streamIdle() time.Duration {
	if m.edge {
		return streamIdleTimeout
	}
	return 0
}
