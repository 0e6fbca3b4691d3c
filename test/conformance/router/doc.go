// Package router holds what usher-proxy's router does with a request that does not
// succeed at once against a real Envoy: both get one bootstrap file, the same requests
// and the same servers, and must answer, ask, log and count alike.
package router
