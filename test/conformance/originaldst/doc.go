// Package originaldst holds which destination usher-proxy finds for redirected connections,
// and where clusters of type ORIGINAL_DST send them, against a real Envoy: both get one
// bootstrap file, the same connections and the same servers, and must answer, log and count
// alike. As root its tests run in a network namespace of their own, whose nftables redirect.
package originaldst
