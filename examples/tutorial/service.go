package main

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"time"
)

// maxBody bounds what is read of a request and of an answer, in bytes.
const maxBody = 64 << 10

// passedOn are the headers that go with a request from service to service: who
// called, and the trace.
var passedOn = []string{
	"Authorization", "User-Agent", "Baggage",
	"X-Request-Id", "Traceparent", "Tracestate", "B3",
	"X-B3-Traceid", "X-B3-Spanid", "X-B3-Parentspanid", "X-B3-Sampled", "X-B3-Flags",
	"X-Ot-Span-Context",
}

// counter is recommendation: it numbers its answers.
type counter struct {
	version, host string
	answers       atomic.Int64
}

func (c *counter) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	plain(w, http.StatusOK, fmt.Sprintf("recommendation %s from '%s': %d\n", c.version, c.host, c.answers.Add(1)))
}

// caller puts its name before what the next service answers.
type caller struct {
	name, next string
	client     *http.Client
}

func newClient() *http.Client {
	return &http.Client{
		Timeout: 10 * time.Second,
		Transport: &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			MaxIdleConnsPerHost:    64,
			MaxConnsPerHost:        256,
			IdleConnTimeout:        time.Minute,
			MaxResponseHeaderBytes: 64 << 10,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func (c *caller) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	status, text, err := c.call(r)
	switch {
	case err != nil:
		// Not err's own text: it holds the proxy's address.
		plain(w, http.StatusServiceUnavailable, fmt.Sprintf("%s => Error: 503 - no answer from %s\n", c.name, c.next))
	case status != http.StatusOK:
		plain(w, http.StatusServiceUnavailable, fmt.Sprintf("%s => Error: %d - %s\n", c.name, status, text))
	default:
		plain(w, http.StatusOK, fmt.Sprintf("%s => %s\n", c.name, text))
	}
}

// call asks the next service on behalf of r and gives its status and its text
// without white space around.
func (c *caller) call(r *http.Request) (status int, text string, err error) {
	next, err := http.NewRequestWithContext(r.Context(), http.MethodGet, c.next, nil)
	if err != nil {
		return 0, "", err
	}
	for _, name := range passedOn {
		if values := r.Header[name]; len(values) > 0 {
			next.Header[name] = values
		}
	}
	answer, err := c.client.Do(next)
	if err != nil {
		return 0, "", err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxBody))
	if err != nil {
		return 0, "", err
	}
	return answer.StatusCode, strings.TrimSpace(string(body)), nil
}

func plain(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text) // a client that went away needs no answer
}
