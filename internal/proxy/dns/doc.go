// Package dns asks name servers for the addresses of names, and tells how long these hold,
// which the standard library does not. Nothing that a server says is believed further than
// it answers the question. It knows no cluster and no configuration.
package dns
