// Package http2 holds usher-proxy's HTTP/2 against a real Envoy's: both get one
// bootstrap file and the same frames, and must answer alike and tell the upstream the
// same. Every difference has a reason.
package http2
