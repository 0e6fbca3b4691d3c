// Package hcm is the HTTP connection manager: it serves the requests of one
// downstream connection. It owns the order of things: head, header trust, route,
// filters, upstream, filters in reverse, response, access log; and the timeouts.
// It knows neither how a configuration arrives nor where a socket came from.
package hcm
