// Package format makes texts and JSON of requests by Envoy's substitution format
// strings: the lines of access logs, values of header fields, bodies of local
// replies. Formats are compiled with the configuration and applied without garbage.
// It knows no log and no socket. What it makes is either bare, or fit to be shown:
// secrets are [redacted] and control characters escaped.
package format

import (
	"github.com/usher-mesh/usher/internal/proxy/exchange"
)

// Subject is what a format is applied to.
type Subject struct {
	X *exchange.Exchange
	// Bare has values as they are. By default they may be shown.
	Bare bool
	// Secret tells of a bare text that it holds something that must not be shown.
	Secret bool
	// Body is that of a local reply.
	Body string
}

// kind tells what an operator has appended.
type kind uint8

const (
	missing kind = iota // nothing: "-" in text, null in JSON
	text                // what JSON puts in quotes
	bare                // JSON that is no string: JSON formats take it as it is
)

// operator appends a value.
type operator func(b []byte, s *Subject) ([]byte, kind)
