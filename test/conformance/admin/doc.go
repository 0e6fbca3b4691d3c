// Package admin holds usher-proxy's administration interface against a real Envoy's: both
// get one bootstrap file and the same requests. Methods, statuses, types and texts must be
// alike, and of JSON the sets of keys.
package admin
