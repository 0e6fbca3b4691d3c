package upstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/http1"
	"github.com/usher-mesh/usher/internal/proxy/http2"
)

// Answer is what a Call is answered with. Its strings hold for ever.
type Answer struct {
	Status  int
	Header  exchange.Header
	Body    []byte
	Trailer exchange.Header
}

// ErrTooLarge is an answer whose content is larger than the caller takes.
var ErrTooLarge = errors.New("the answer is too large")

// Call sends a request of the proxy's own, such as a filter's to its server, and reads the
// answer, of at most so many bytes of content. The endpoint is chosen and its connection
// shared as for any other request. It ends with ctx. A request that a dead connection has
// swallowed is sent once more: whoever calls must bear that.
func (c *Cluster) Call(ctx context.Context, rq *exchange.Request, body []byte, most int) (*Answer, error) {
	rq.ContentLength, rq.Body = int64(len(body)), nil // it is sent as a whole
	fresh, again := false, 0
	for {
		host, err := c.Pick(ctx, Ask{Authority: rq.Authority, Header: &rq.Header})
		if err != nil {
			return nil, err
		}
		a, retry, err := host.call(ctx, rq, body, atMost(most), fresh)
		switch {
		case retry == staleConn && !fresh:
			fresh = true
		case retry == notProcessed && again < maxAgain:
			again++
		default:
			return a, err
		}
	}
}

// maxAgain bounds how often a call is sent again that no endpoint has processed.
const maxAgain = 3

// retry says why a call may be sent again.
type retry uint8

const (
	never retry = iota
	staleConn
	notProcessed
)

func (h *Host) call(ctx context.Context, rq *exchange.Request, body []byte, read func(io.Reader) ([]byte, error), fresh bool) (a *Answer, why retry, err error) {
	conn, err := h.take(ctx, fresh, rq.ProtoMajor)
	if err != nil {
		var c *ConnectError
		if errors.As(err, &c) && ctx.Err() == nil {
			h.Failed()
		}
		return nil, never, err
	}
	h.Connected()
	h.Began()
	deadline, _ := ctx.Deadline()
	conn.SetDeadline(deadline)
	ended := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		conn.SetDeadline(time.Unix(1, 0))
		close(ended)
	})
	reuse := false
	defer func() {
		if !stop() {
			<-ended // it moves the deadline of a connection that is ours no more
			reuse = false
		}
		conn.Put(reuse)
	}()
	if rq.Scheme == "" {
		rq.Scheme = "http"
		if h.TLS() {
			rq.Scheme = "https"
		}
	}
	err = conn.W.Request(rq, false)
	if errors.Is(err, http1.ErrUnsent) {
		return nil, never, err
	}
	if err == nil && len(body) > 0 {
		err = conn.W.Bytes(body)
	}
	if err == nil {
		err = conn.W.Flush()
	}
	if err == nil {
		a, err = conn.answer(rq.Method, read)
	}
	switch {
	case err == nil:
		reuse = conn.KeepAlive()
		_, degraded := a.Header.Lookup("x-envoy-degraded")
		h.Answered(a.Status, degraded)
		h.Counts.Answered(a.Status)
		h.cluster.Counts.Rq.Inc(a.Status)
		return a, never, nil
	case errors.Is(ctx.Err(), context.Canceled): // who asked has left
		return nil, never, err
	case ctx.Err() != nil || errors.Is(err, os.ErrDeadlineExceeded):
		h.TimedOut()
		h.Counts.Failed(true)
		h.cluster.Counts.RqTimeout.Inc()
		return nil, never, fmt.Errorf("%w: %w", context.DeadlineExceeded, err)
	case errors.Is(err, http2.ErrNotProcessed):
		return nil, notProcessed, err
	case conn.Reused && conn.Untouched():
		return nil, staleConn, err
	}
	if !errors.Is(err, ErrTooLarge) {
		h.Failed()
		h.Counts.Failed(false)
	}
	return nil, never, err
}

// take gives a connection that is not known to be dead.
func (h *Host) take(ctx context.Context, fresh bool, major int) (*Conn, error) {
	for {
		deadline, _ := ctx.Deadline()
		conn, err := h.Get(ctx, deadline, fresh, From{Major: major})
		if err == ErrBusy {
			conn, err = h.Await(ctx, deadline, From{Major: major})
		}
		if err != nil || !conn.Reused || conn.Alive() {
			return conn, err
		}
		conn.Put(false)
	}
}

// maxInterim bounds the 1xx answers before the final one.
const maxInterim = 16

// answer reads an answer, past interim ones.
func (c *Conn) answer(method string, read func(io.Reader) ([]byte, error)) (*Answer, error) {
	var rs exchange.Response
	for range maxInterim {
		if err := c.Head(&rs, method); err != nil {
			return nil, err
		}
		if rs.Status == 101 {
			break
		}
		if rs.Status >= 200 {
			a := &Answer{Status: rs.Status, Header: kept(&rs.Header)}
			if rs.Body != nil {
				b, err := read(rs.Body)
				if err != nil {
					return nil, err
				}
				a.Body = b
			}
			a.Trailer = kept(&rs.Trailer)
			return a, nil
		}
		rs = exchange.Response{}
		c.Interim()
	}
	return nil, http1.ErrTruncated
}

// atMost reads content of so many bytes, more is ErrTooLarge.
func atMost(n int) func(io.Reader) ([]byte, error) {
	return func(r io.Reader) ([]byte, error) {
		b, err := io.ReadAll(io.LimitReader(r, int64(n)+1))
		if err == nil && len(b) > n {
			return nil, ErrTooLarge
		}
		return b, err
	}
}

// kept copies fields out of the connection's buffer.
func kept(h *exchange.Header) (out exchange.Header) {
	for _, f := range h.Fields() {
		out.Add(strings.Clone(f.Name), strings.Clone(f.Value))
	}
	return out
}
