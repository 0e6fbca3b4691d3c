// Package accesslog writes an entry for each request or connection that has ended, as a
// line of a file or as a message to a collector. It owns files and what waits for
// collectors, and which requests a log is for; package format makes the texts, with secrets
// [redacted], and in lines control characters escaped. It knows no connection.
package accesslog
