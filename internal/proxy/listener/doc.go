// Package listener accepts connections: one socket an address, whose
// configuration is swapped without closing it. It tells TLS from plaintext,
// chooses the filter chain, makes the handshake, and hands the connection to the
// HTTP connection manager or the TCP filter. It knows no route and no request.
package listener
