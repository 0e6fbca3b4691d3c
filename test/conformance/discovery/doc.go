// Package discovery holds usher-proxy against a real Envoy on where configuration comes
// from besides the bootstrap file: files that are replaced while both run, and what is wrong
// with them.
package discovery
