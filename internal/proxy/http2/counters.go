package http2

import "sync/atomic"

// Counters count what happened on the connections of one side, under the names of
// Envoy's http2 statistics. A nil one counts nothing.
type Counters struct {
	ReceivedResets          atomic.Uint64 // rx_reset
	SentResets              atomic.Uint64 // tx_reset
	MessagingErrors         atomic.Uint64 // rx_messaging_error
	OutboundFlood           atomic.Uint64 // outbound_flood
	OutboundControlFlood    atomic.Uint64 // outbound_control_flood
	EmptyFramesFlood        atomic.Uint64 // inbound_empty_frames_flood
	PriorityFramesFlood     atomic.Uint64 // inbound_priority_frames_flood
	WindowUpdateFramesFlood atomic.Uint64 // inbound_window_update_frames_flood
	ResetFlood              atomic.Uint64 // rx_reset_flood: ours; nghttp2 has none
	HeaderOverflow          atomic.Uint64 // header_overflow
	KeepaliveTimeout        atomic.Uint64 // keepalive_timeout
	GoAwaySent              atomic.Uint64 // goaway_sent
}

// Each calls f with every counter, in the order of their listing.
func (c *Counters) Each(f func(name string, value func() uint64)) {
	for _, x := range []struct {
		name string
		v    *atomic.Uint64
	}{
		{"rx_reset", &c.ReceivedResets}, {"tx_reset", &c.SentResets}, {"rx_messaging_error", &c.MessagingErrors},
		{"outbound_flood", &c.OutboundFlood}, {"outbound_control_flood", &c.OutboundControlFlood},
		{"inbound_empty_frames_flood", &c.EmptyFramesFlood}, {"inbound_priority_frames_flood", &c.PriorityFramesFlood},
		{"inbound_window_update_frames_flood", &c.WindowUpdateFramesFlood}, {"rx_reset_flood", &c.ResetFlood},
		{"header_overflow", &c.HeaderOverflow}, {"keepalive_timeout", &c.KeepaliveTimeout}, {"goaway_sent", &c.GoAwaySent},
	} {
		f(x.name, x.v.Load)
	}
}
