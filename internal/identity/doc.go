// Package identity owns what a workload is to others: its SPIFFE ID, the X.509
// certificate that proves it, the roots that peers are judged by, and the TLS
// configurations that do the judging.
//
// A Source gives the current certificate and roots. Static never changes;
// Rotating asks a certificate authority over Istio's CSR protocol and renews.
// ServerTLS and ClientTLS make configurations that ask the source anew at every
// handshake, so a renewal needs no restart and closes no connection.
//
// The package knows nothing of Kubernetes, of Envoy's configuration, nor of how
// the authority decides; the sidecar links it.
package identity
