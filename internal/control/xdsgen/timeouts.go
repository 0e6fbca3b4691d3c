package xdsgen

import "time"

const (
	// idleTimeout closes a client's connection on which nothing happens.
	idleTimeout = time.Hour
	// headersTimeout bounds how long a client may take for a request's head.
	headersTimeout = time.Minute
)
