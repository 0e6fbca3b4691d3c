// Package netconn is about connections that are wrapped in others, each of which gives the
// one below it by NetConn, as crypto/tls does.
package netconn

import (
	"errors"
	"net"
)

type wrapper interface{ NetConn() net.Conn }

// Find gives the first of a kind, from c downwards.
func Find[T any](c net.Conn) (found T, ok bool) {
	for {
		if found, ok = c.(T); ok {
			return found, true
		}
		over, wraps := c.(wrapper)
		if !wraps {
			return found, false
		}
		c = over.NetConn()
	}
}

// Innermost gives the connection that is around no other.
func Innermost(c net.Conn) net.Conn {
	for {
		over, wraps := c.(wrapper)
		if !wraps {
			return c
		}
		c = over.NetConn()
	}
}

// CloseWrite sends the end of what is sent, and leaves what is received open. Errors are the
// connection's, and errors.ErrUnsupported where there is no such end.
func CloseWrite(c net.Conn) error {
	if h, ok := c.(interface{ CloseWrite() error }); ok {
		return h.CloseWrite()
	}
	return errors.ErrUnsupported
}
