package http2

import (
	"os"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/http1"
)

// Another protocol on a stream (RFC 8441) looks to users of a Stream like the upgrade
// of HTTP/1.1: a GET that names it, answered by 101.

// takesProtocols tells whether the server takes such requests; it waits until the
// server has said so.
func (st *Stream) takesProtocols() error {
	c := st.c
	c.mu.Lock()
	defer c.mu.Unlock()
	for !c.greeted {
		switch {
		case st.err != nil:
			return st.err
		case c.err != nil:
			return ErrNotProcessed
		case over(st.wdead):
			return os.ErrDeadlineExceeded
		}
		c.block(st)
	}
	if !c.o.Connect || !c.peerConnect {
		return http1.ErrUnsent
	}
	return nil
}

// checkProtocol checks the pseudo fields of such a request beside those of every one.
func (h *head) checkProtocol() {
	const most = 64
	switch {
	case h.method != "CONNECT" || h.pseudo&(sawScheme|sawPath) != sawScheme|sawPath:
		h.bad("protocol")
	case len(h.protocol) > most || !http1.ValidName(h.protocol) || h.protocol == "h2c": // a token in lower case, and no HTTP
		h.bad("protocol")
	case h.lengths > 0: // it has no content (RFC 9110, 9.3.6)
		h.bad("content-length")
	}
	h.method = "GET"
}

// askedFor makes the upgrade of a request for another protocol.
func (h *head) askedFor(rq *exchange.Request) {
	rq.Upgrade = h.protocol
	rq.Header.Add("upgrade", h.protocol)
	rq.ContentLength, rq.Body = 0, nil
}

// switched tells whether a received answer lets the other protocol begin.
func (st *Stream) switched() bool {
	return !st.c.server && st.out.open && st.head.status/100 == 2
}
