// Package interop runs clients that others wrote through the built usher-proxy: gRPC's
// official interop client, and Go's, Python's and Node's HTTP clients. It is a module of
// its own, so that what they need is no dependency of usher's.
package interop
