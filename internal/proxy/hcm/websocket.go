package hcm

import (
	"crypto/rand"
	"crypto/sha1"
	"encoding/base64"

	"github.com/usher-mesh/usher/internal/proxy/upstream"
)

// Sec-WebSocket-Key and its answer belong to HTTP/1.1 alone (RFC 8441, 5). Where the
// other side speaks HTTP/2 the proxy stands in: it asks with a key of its own, and
// answers the client's.

const (
	websocket       = "websocket"
	websocketKey    = "sec-websocket-key"
	websocketAccept = "sec-websocket-accept"
	// websocketGUID is what a server shows with that it has understood (RFC 6455, 1.3).
	websocketGUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
)

// offerWebsocket makes the request's key fit the connection.
func (s *session) offerWebsocket(conn *upstream.Conn) {
	x := s.x
	if x.Request.Upgrade != websocket {
		return
	}
	h := &x.Request.Header
	if s.websocketKey == "" && x.Request.ProtoMajor == 1 {
		s.websocketKey = h.Get(websocketKey)
	}
	if conn.HTTP2() {
		h.Del(websocketKey)
		return
	}
	if s.websocketKey == "" {
		var b [16]byte
		rand.Read(b[:])
		s.websocketKey = base64.StdEncoding.EncodeToString(b[:])
	}
	h.Set(websocketKey, s.websocketKey)
}

// websocketTaken judges a server's 101 and makes of it what the client understands.
func (s *session) websocketTaken(conn *upstream.Conn) bool {
	x := s.x
	if x.Request.Upgrade != websocket {
		return true
	}
	h := &x.Response.Header
	switch {
	case x.Request.ProtoMajor == 2:
		if !conn.HTTP2() && h.Get(websocketAccept) != acceptance(s.websocketKey) {
			return false
		}
		h.Del(websocketAccept)
	case conn.HTTP2():
		h.Set(websocketAccept, acceptance(s.websocketKey))
	}
	return true
}

func acceptance(key string) string {
	sum := sha1.Sum([]byte(key + websocketGUID))
	return base64.StdEncoding.EncodeToString(sum[:])
}
