package e2e

import (
	"bufio"
	"bytes"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/usher-mesh/usher/test/harness"
)

// TestPackets looks at the real packets of a request's whole way, less those of
// the apps' own legs and of the client to the gateway. It catches a sidecar that
// speaks in clear, or that stays encrypted where DISABLE asks for clear.
func TestPackets(t *testing.T) {
	harness.Need(t, "tcpdump")
	harness.NeedRoot(t)
	m := harness.Up(t)
	for _, tc := range []struct {
		mode  string
		clear bool
	}{{"STRICT", false}, {"PERMISSIVE", false}, {"DISABLE", true}} {
		t.Run(tc.mode, func(t *testing.T) {
			m.Apply(fmt.Sprintf(peerAuthentication, "tutorial", tc.mode))
			token := mint(m, "--claim", "mode="+tc.mode)
			secret := "/path-of-" + strings.ToLower(tc.mode)
			stop := capture(t, m)
			a := m.MustGet("/customer"+secret, token)
			if a.Status != http.StatusOK {
				t.Fatalf("got %d %q", a.Status, a.Body)
			}
			packets := stop()
			for what, s := range map[string]string{"token": token, "signature": token[strings.LastIndex(token, ".")+1:], "path": secret} {
				if got := bytes.Contains(packets, []byte(s)); got != tc.clear {
					t.Errorf("the packets hold the %s: %v, want %v (%d bytes captured)", what, got, tc.clear, len(packets))
				}
			}
			if len(packets) < 1000 {
				t.Errorf("only %d bytes captured: the test sees nothing", len(packets))
			}
		})
	}
}

const peerAuthentication = `
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default, namespace: %s}
spec: {mtls: {mode: %s}}
`

// capture records all of lo but the named legs, and gives a function that ends it
// and returns the packets.
func capture(t *testing.T, m *harness.Mesh) func() []byte {
	t.Helper()
	skip := []string{fmt.Sprintf("port %d", harness.Port(t, m.GatewayURL))}
	for _, w := range m.Status() {
		for _, a := range w.Addresses.App {
			skip = append(skip, fmt.Sprintf("port %d", harness.Port(t, a)))
		}
		if w.Addresses.Outbound != "" {
			skip = append(skip, fmt.Sprintf("port %d", harness.Port(t, w.Addresses.Outbound)))
		}
	}
	file := filepath.Join(t.TempDir(), "lo.pcap")
	cmd := exec.Command("tcpdump", "-i", "lo", "-U", "-s", "0", "-Z", "root", "-w", file, "tcp and not ("+strings.Join(skip, " or ")+")")
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stderr)
	for lines.Scan() && !strings.Contains(lines.Text(), "listening on lo") {
	}
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		for lines.Scan() {
		}
	}()
	return func() []byte {
		// The last packets are on their way to the file: a marker that is captured
		// after them tells when they are there.
		awaitMarker(t, file)
		if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
			t.Error(err)
		}
		<-drained
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
}

// awaitMarker sends a packet of its own over lo until it is in the file.
func awaitMarker(t *testing.T, file string) {
	t.Helper()
	marker := fmt.Sprintf("marker-%d", time.Now().UnixNano())
	l := listen(t)
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.Close()
		}
	}()
	send(t, l.Addr().String(), marker)
	harness.Eventually(t, 10*time.Second, "marker in the capture", func() (bool, any) {
		data, err := os.ReadFile(file)
		return err == nil && bytes.Contains(data, []byte(marker)), len(data)
	})
}
