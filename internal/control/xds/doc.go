// Package xds is the control plane's discovery server: Envoy's incremental
// aggregated discovery service over mTLS. It owns who may ask for what, what each
// connected proxy holds and has acknowledged, and the order of pushes. It must not
// know how resources are made (a Generator does that) nor what they contain.
//
// A stream is three goroutines: one that receives, one that decides and sends,
// and the handler, which only waits for a reason to end the stream, so that a
// client that does not read can be cut off. What a proxy holds is a reference to
// the generator's shared, immutable map and the few names that differ from it.
package xds
