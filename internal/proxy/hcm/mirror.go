package hcm

import (
	"context"
	"io"
	"log/slog"
	"runtime/debug"
	"slices"
	"sync/atomic"
	"time"

	"github.com/usher-mesh/usher/internal/proxy/exchange"
	"github.com/usher-mesh/usher/internal/proxy/route"
	"github.com/usher-mesh/usher/internal/proxy/upstream"
)

const (
	// maxMirrors bounds the copies that a manager has under way; further ones are not sent.
	maxMirrors = 256
	// maxMirrored bounds a copy's content, and what is read of its answer, in bytes.
	maxMirrored = 256 << 10
	// mirrorTime bounds a copy whose route has no timeout.
	mirrorTime = time.Minute
)

// mirror sends copies of the request as it goes to the upstream. They wait until its
// content has been read for the upstream, take no part in its fate, and are left out
// where they would cost too much.
func (s *session) mirror(f *route.Forward) {
	x := s.x
	if len(f.Mirrors) == 0 || x.Request.Upgrade != "" || x.Request.Method == "CONNECT" {
		return
	}
	var c *copies
	for i := range f.Mirrors {
		m := &f.Mirrors[i]
		cluster := s.cluster(m.Hit(x))
		if cluster == nil {
			continue
		}
		if c == nil {
			c = &copies{m: s.m, ctx: s.ctx, time: f.Timeout}
		}
		rq := x.Request.Clone()
		rq.Authority = m.Authority(rq.Authority)
		// As Envoy's: from inside, by way of this proxy.
		rq.Header.Set("x-envoy-internal", "true")
		via := x.Conn.Local.Addr().String()
		if old := joined(&rq.Header, "x-forwarded-for"); old != "" {
			via = old + "," + via
		}
		rq.Header.Set("x-forwarded-for", via)
		c.list = append(c.list, mirrored{cluster, rq})
	}
	if c == nil {
		return
	}
	body, _ := x.Request.Body.(content)
	if body == nil {
		c.send(nil)
		return
	}
	if all, whole := body.Whole(); whole {
		c.send(all)
		return
	}
	if x.Request.ContentLength <= maxMirrored {
		x.Request.Body = &teed{content: body, copies: c}
	}
}

// copies are those of one request.
type copies struct {
	m    *Manager
	ctx  context.Context
	time time.Duration
	list []mirrored
	sent atomic.Bool
}

type mirrored struct {
	cluster *upstream.Cluster
	rq      *exchange.Request
}

// send sends the copies with that content, once.
func (c *copies) send(body []byte) {
	if len(body) > maxMirrored || c.sent.Swap(true) {
		return
	}
	body = slices.Clone(body)
	for _, one := range c.list {
		if c.m.mirrors.Add(1) > maxMirrors {
			c.m.mirrors.Add(-1)
			continue
		}
		go func() {
			defer c.m.mirrors.Add(-1)
			defer func() {
				if r := recover(); r != nil {
					c.m.o.Log.Error("sending a copy of a request failed", "panic", r, "stack", string(debug.Stack()))
				}
			}()
			limit := c.time
			if limit <= 0 {
				limit = mirrorTime
			}
			ctx, cancel := context.WithTimeout(c.ctx, limit)
			defer cancel()
			if _, err := one.cluster.Call(ctx, one.rq, body, maxMirrored); err != nil {
				c.m.o.Log.Debug("a copy of a request was not answered", slog.String("cluster", one.cluster.Name), slog.Any("error", err))
			}
		}()
	}
}

// teed is content that is kept for copies while it is read.
type teed struct {
	content
	copies *copies
	data   []byte
	over   bool // it is more than a copy may have
}

func (t *teed) Read(p []byte) (int, error) {
	n, err := t.content.Read(p)
	if t.over = t.over || len(t.data)+n > maxMirrored; t.over {
		t.data = nil
		return n, err
	}
	t.data = append(t.data, p[:n]...)
	if err == io.EOF || err == nil && t.content.Done() {
		t.copies.send(t.data)
	}
	return n, err
}

// Whole gives what is read at once instead.
func (t *teed) Whole() ([]byte, bool) {
	all, whole := t.content.Whole()
	if whole {
		t.copies.send(all)
	}
	return all, whole
}
