// Package accesslog writes one line for each request or connection that has ended. It
// owns files, and which requests a log is for; package format makes the lines, with
// secrets [redacted] and control characters escaped. It knows no connection.
package accesslog
