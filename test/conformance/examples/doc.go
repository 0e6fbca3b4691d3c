// Package examples holds usher-proxy against a real Envoy on files in the shape of those
// that Envoy documents: its sandboxes, its first steps, its filters' pages. Both start from
// the same file and are sent what the documentation has its reader send.
package examples
