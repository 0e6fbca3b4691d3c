package e2e

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/usher-mesh/usher/test/harness"
)

// TestStartedAnewIsJudged stops a workload, denies everything, and starts it again:
// not one request may pass by the configuration of its earlier life. The server behind
// it stays, so a request that passes is seen.
func TestStartedAnewIsJudged(t *testing.T) {
	m := harness.UpWith(t)
	m.Kubectl("create", "namespace", "demo")
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "passed") }))
	t.Cleanup(server.Close)
	run := []string{"run", "-n", "demo", "--service", "pin", "--detach",
		"--port", fmt.Sprintf("8080:%d", harness.Port(t, strings.TrimPrefix(server.URL, "http://"))), "--", "sleep", "600"}
	m.Usher(run...)
	inbound := m.Status()["demo/pin-v1"].Addresses.Inbound[0]
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	ask := func() int {
		resp, err := client.Get("http://" + inbound + "/")
		if err != nil {
			return 0
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	if s := ask(); s != http.StatusOK {
		t.Fatalf("at first: %d", s)
	}
	m.Usher("stop", "-n", "demo", "pin-v1")
	m.Apply(strings.ReplaceAll(denyAll, "%NS%", "demo"))
	for range harness.Count(t, "starts", 3, 20) {
		started := make(chan string, 1)
		go func() {
			out, err := m.TryUsher(run...)
			if err == nil {
				out = ""
			}
			started <- out
		}()
		seen := map[int]int{}
		for running := true; running; {
			select {
			case out := <-started:
				if out != "" {
					t.Fatal(out)
				}
				running = false
			default:
			}
			seen[ask()]++
		}
		if seen[http.StatusOK] > 0 || seen[http.StatusForbidden] == 0 {
			t.Fatalf("answers while it starts: %v", seen)
		}
		m.Usher("stop", "-n", "demo", "pin-v1")
	}
}
