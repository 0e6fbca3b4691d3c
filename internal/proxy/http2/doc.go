// Package http2 is the HTTP/2 codec of the proxy (RFC 9113): one connection, at
// either end, with its streams. It owns framing, HPACK state, flow control,
// multiplexing and the limits that keep a hostile peer's connection small. Messages
// take the form of package exchange; their grammar is package http1's, so that what
// comes in here can go out there. It knows no filter, no route and no policy.
//
// A Conn has a goroutine that reads and one that writes. A Stream looks to its user
// like a connection of its own that carries one message each way: it has deadlines,
// and its methods block.
package http2
