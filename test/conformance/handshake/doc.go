// Package handshake runs usher-proxy and a real Envoy on one bootstrap file, and compares how
// they agree on TLS with clients and with endpoints.
package handshake
