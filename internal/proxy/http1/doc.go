// Package http1 is the HTTP/1.1 codec of the proxy: it reads and writes messages
// in the form of package exchange and owns framing (RFC 9112). It is strict: what
// two parsers could understand in two ways is an error, after which the
// connection is closed. It knows no socket, no configuration and no policy.
//
// A Reader parses a head in place in its buffer: the strings of a message hold
// until the Reader's next message. A Writer collects a head and the first bytes
// of a body for one write. Neither makes garbage for an ordinary message.
package http1
