package harness

import (
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Answer is what a request came to.
type Answer struct {
	Status int
	Body   string
	Header http.Header
}

// Client does not follow redirects, keeps connections, and gives up after 10 s.
var Client = &http.Client{
	Timeout:       10 * time.Second,
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	Transport: &http.Transport{
		MaxIdleConnsPerHost: 64,
		DialContext:         (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
	},
}

// Get asks the gateway for the path, with a token unless it is "".
func (m *Mesh) Get(path, token string) (Answer, error) {
	req, err := http.NewRequest(http.MethodGet, "http://"+m.GatewayURL+path, nil)
	if err != nil {
		return Answer{}, err
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	return Do(req)
}

// Do sends the request and reads the answer.
func Do(req *http.Request) (Answer, error) {
	present(req.URL.String())
	for _, values := range req.Header {
		present(strings.Join(values, " "))
	}
	resp, err := Client.Do(req)
	if err != nil {
		return Answer{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return Answer{resp.StatusCode, string(body), resp.Header}, err
}

// MustGet is Get for tests that end if there is no answer.
func (m *Mesh) MustGet(path, token string) Answer {
	m.T.Helper()
	a, err := m.Get(path, token)
	if err != nil {
		m.T.Fatalf("GET %s: %v", path, err)
	}
	return a
}

// Token reads one of the tutorial's tokens.
func Token(t testing.TB, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(Root(), "examples/tutorial", name))
	if err != nil {
		t.Fatal(err)
	}
	for len(data) > 0 && data[len(data)-1] == '\n' {
		data = data[:len(data)-1]
	}
	return string(data)
}

// Eventually calls f every 5 ms until it is content, at most for the limit. What f
// says last is in the failure.
func Eventually(t testing.TB, limit time.Duration, what string, f func() (ok bool, saw any)) {
	t.Helper()
	end := time.NewTimer(limit)
	defer end.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		ok, saw := f()
		if ok {
			return
		}
		select {
		case <-tick.C:
		case <-end.C:
			t.Fatalf("%s: not within %v; last: %v", what, limit, saw)
		}
	}
}
