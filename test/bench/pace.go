package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
)

// order tells `bench pace` what to send, as JSON on its standard input.
type order struct {
	URL     string `json:"url"`
	Token   string `json:"token,omitempty"`
	Rate    int    `json:"rate"` // requests a second
	Seconds int    `json:"seconds"`
	Conns   int    `json:"connections"`
}

// pace sends requests at a constant rate and tells what came as JSON. Each connection has
// its times; an answer that is late makes the next request late, and counts for both: a
// request takes from when it was due, so no latency is left out. One whose connection was
// free takes from when it was sent, since a timer that is late is no fault of the server.
func pace(ctx context.Context, in io.Reader, out io.Writer) error {
	var o order
	if err := json.NewDecoder(in).Decode(&o); err != nil {
		return err
	}
	u, err := url.Parse(o.URL)
	if err != nil {
		return err
	}
	rq, err := http.NewRequestWithContext(ctx, http.MethodGet, o.URL, nil)
	if err != nil {
		return err
	}
	if o.Token != "" {
		rq.Header.Set("Authorization", "Bearer "+o.Token)
	}
	var head bytes.Buffer
	if err := rq.Write(&head); err != nil {
		return err
	}
	took := make([][]time.Duration, o.Conns)
	failed := make([]int, o.Conns)
	all, start := o.Rate*o.Seconds, time.Now().Add(100*time.Millisecond)
	var g errgroup.Group
	for c := range o.Conns {
		g.Go(func() error {
			l := line{address: u.Host, request: head.Bytes(), rq: rq}
			defer l.close()
			for i := c; i < all && ctx.Err() == nil; i += o.Conns {
				due := start.Add(time.Duration(i) * time.Second / time.Duration(o.Rate))
				if wait := time.Until(due); wait > 0 {
					time.Sleep(wait)
					due = time.Now()
				}
				if !l.ask() {
					failed[c]++
				}
				took[c] = append(took[c], time.Since(due))
			}
			return ctx.Err()
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	elapsed, sorted := time.Since(start), slices.Concat(took...)
	slices.Sort(sorted)
	r := paceResult{Requests: len(sorted), Rate: float64(len(sorted)) / elapsed.Seconds()}
	if n := len(sorted); n > 0 {
		r.P50, r.P99 = sorted[n/2], sorted[n*99/100]
	}
	for _, n := range failed {
		r.Failed += n
	}
	return json.NewEncoder(out).Encode(r)
}

// paceResult is what `bench pace` tells.
type paceResult struct {
	Requests, Failed int
	Rate             float64 // requests a second
	P50, P99         time.Duration
}

// line is a connection of the load, opened anew when it has failed.
type line struct {
	address string
	request []byte
	rq      *http.Request
	conn    net.Conn
	r       *bufio.Reader
}

// ask sends the request and reads the answer; false if it is not 200 or not whole.
func (l *line) ask() bool {
	if l.conn == nil {
		conn, err := net.DialTimeout("tcp", l.address, paceTimeout)
		if err != nil {
			return false
		}
		l.conn, l.r = conn, bufio.NewReader(conn)
	}
	l.conn.SetDeadline(time.Now().Add(paceTimeout))
	if _, err := l.conn.Write(l.request); err != nil {
		l.close()
		return false
	}
	rs, err := http.ReadResponse(l.r, l.rq)
	if err == nil {
		_, err = io.Copy(io.Discard, rs.Body)
	}
	if err != nil || rs.Close {
		l.close()
	}
	return err == nil && rs.StatusCode == http.StatusOK
}

func (l *line) close() {
	if l.conn != nil {
		l.conn.Close()
		l.conn = nil
	}
}

// paceTimeout is after how long a request has failed.
const paceTimeout = 5 * time.Second

// paced has another process send at a constant rate, pinned as other generators are.
func (s *site) paced(rate, conns int) generator {
	return func(ctx context.Context, w work, seconds int) (load, error) {
		self, err := os.Executable()
		if err != nil {
			return load{}, err
		}
		o := order{URL: s.url(w.listener) + w.path, Rate: rate, Seconds: seconds, Conns: conns}
		if w.token != noToken {
			o.Token = s.tokens[0]
		}
		text, err := json.Marshal(o)
		if err != nil {
			return load{}, err
		}
		argv := pinned(loadCPU, self, "pace")
		cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
		cmd.Stdin = bytes.NewReader(text)
		out, err := cmd.Output()
		if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
			err = fmt.Errorf("%w: %s", err, lastLine(exit.Stderr))
		}
		if err != nil {
			return load{}, fmt.Errorf("bench pace: %w", err)
		}
		return parsePaced(out)
	}
}

func parsePaced(out []byte) (load, error) {
	var r paceResult
	if err := json.Unmarshal(out, &r); err != nil {
		return load{}, fmt.Errorf("bench pace: %w", err)
	}
	return load{requests: r.Requests, rate: r.Rate, p50: r.P50, p99: r.P99, failed: r.Failed}, nil
}
