// Package stats holds usher-proxy's statistics against a real Envoy's: both get one
// bootstrap file and the same traffic, and must tell the same names with the same values,
// but for what is listed with its reason.
package stats
