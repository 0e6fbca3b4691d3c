package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/usher-mesh/usher/test/harness"
)

// TestPlaintextToAnInboundPort has the real curl call a sidecar in clear.
func TestPlaintextToAnInboundPort(t *testing.T) {
	m := harness.Up(t)
	inbound := m.Status()["tutorial/recommendation-v1"].Addresses.Inbound[0]
	curl := func() (string, error) { return m.Run("curl", "-sS", "-m", "5", "http://"+inbound+"/") }

	m.Apply(fmt.Sprintf(peerAuthentication, "tutorial", "PERMISSIVE"))
	if out, err := curl(); err != nil || !strings.HasPrefix(out, "recommendation v1 from ") {
		t.Errorf("PERMISSIVE: %q, %v", out, err)
	}
	m.Apply(fmt.Sprintf(peerAuthentication, "tutorial", "STRICT"))
	if out, err := curl(); err == nil || strings.Contains(out, "recommendation") || strings.Contains(out, "HTTP") {
		t.Errorf("STRICT answered: %q, %v", out, err)
	}
	wantOpen(t, m, "")
	m.Apply(fmt.Sprintf(peerAuthentication, "tutorial", "DISABLE"))
	if out, err := curl(); err != nil || !strings.HasPrefix(out, "recommendation v1 from ") {
		t.Errorf("DISABLE: %q, %v", out, err)
	}
	wantOpen(t, m, "")
}

// TestStrictReachesOpenConnections keeps a plaintext connection open over the
// change to STRICT: it must not be served on.
func TestStrictReachesOpenConnections(t *testing.T) {
	m := harness.Up(t)
	inbound := m.Status()["tutorial/recommendation-v1"].Addresses.Inbound[0]
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{MaxConnsPerHost: 1}}
	get := func() error {
		r, err := client.Get("http://" + inbound + "/")
		if err != nil {
			return err
		}
		return r.Body.Close()
	}
	if err := get(); err != nil {
		t.Fatal(err)
	}
	m.Apply(fmt.Sprintf(peerAuthentication, "tutorial", "STRICT"))
	if err := get(); err == nil {
		t.Error("a connection in clear is served on after STRICT is in force")
	}
}
