// Package takeover hands the listening sockets of a proxy to its successor, a new
// process of the same user, so that no connection is refused or reset meanwhile. It
// owns the sockets and the words that the two exchange; it knows not what is served.
//
// The successor connects to a Unix socket of packets and asks for each socket that its
// configuration wants. It accepts on none of them before it has said that it is ready
// and the predecessor that it accepts no more: connections wait in the sockets between.
//
//	successor:   {"version":1,"want":"tcp 127.0.0.1:80"}
//	predecessor: {"found":true} with the socket, or {}
//	successor:   {"version":1,"ready":true}
//	predecessor: {"left":true}
//
// Or, at any time, {"refused":"why"}: the predecessor goes on as if nothing had been.
package takeover

import "time"

const version = 1

type request struct {
	Version int    `json:"version"`
	Want    string `json:"want,omitempty"` // network and address, as configured
	Ready   bool   `json:"ready,omitempty"`
}

type reply struct {
	Found   bool   `json:"found,omitempty"`
	Left    bool   `json:"left,omitempty"`
	Refused string `json:"refused,omitempty"`
}

// Bounds of an exchange.
const (
	maxPacket = 4096             // bytes
	maxWanted = 16384            // sockets
	patience  = 10 * time.Second // for the first word, and for each answer
	// ReadyWithin is how long a successor has until it is ready.
	ReadyWithin = 2 * time.Minute
)
