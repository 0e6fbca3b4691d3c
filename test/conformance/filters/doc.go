// Package filters holds usher-proxy's HTTP filters against a real Envoy's: both get one
// bootstrap file with a listener for each set of filters, the same requests in the same
// order, and the same servers behind. Answers, what the upstream gets, access logs and
// counters must be alike.
package filters
