// Package logs holds what usher-proxy makes by formats against a real Envoy's: lines of
// access logs, fields that routes add, bodies of local replies, and which requests a
// log's filter takes. Both get one bootstrap file and the same requests in the same order.
package logs
