// Package upstreams runs usher-proxy and a real Envoy on one bootstrap file, and compares how
// they make connections to endpoints: for whom they tell that these are, and to which address.
package upstreams
