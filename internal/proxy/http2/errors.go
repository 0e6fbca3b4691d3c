package http2

import (
	"errors"

	xh2 "golang.org/x/net/http2"
)

// Errors of streams.
var (
	// ErrNotProcessed is a stream that the server has certainly not looked at: it may
	// be sent again, whatever it asks for.
	ErrNotProcessed = errors.New("http2: the stream was not processed")
	// ErrClosed is the connection's end.
	ErrClosed = errors.New("http2: the connection ended")
	// ErrFull is a connection that takes no more streams now.
	ErrFull = errors.New("http2: no stream is free")
	// ErrMalformed is a message that breaks HTTP's rules.
	ErrMalformed = errors.New("http2: malformed message")
)

// ResetError is a stream that the peer has reset.
type ResetError struct{ Code xh2.ErrCode }

func (e *ResetError) Error() string { return "http2: the stream was reset: " + e.Code.String() }

// connError ends the connection.
type connError struct {
	code   xh2.ErrCode
	reason string // for the log; holds no text of the peer
	count  func(*Counters)
}

func (e *connError) Error() string { return "http2: " + e.reason }

func fatal(code xh2.ErrCode, reason string) error { return &connError{code: code, reason: reason} }

func flood(reason string, count func(*Counters)) error {
	return &connError{xh2.ErrCodeEnhanceYourCalm, reason, count}
}
