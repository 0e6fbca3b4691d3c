package app

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/usher-mesh/usher/internal/control/ca"
)

// TestControlPlane is the way of an object through all parts, with real
// credentials: token, certificate, configuration, acknowledgement, status.
func TestControlPlane(t *testing.T) {
	w := startWorld(t)
	src := w.workload(ca.Audience)
	select {
	case <-src.Ready():
	case <-time.After(patience):
		t.Fatal("no certificate")
	}
	w.create(requests, "tutorial", object("before", "customer"))
	w.condition(requests, "before", "Programmed", "True", "NoProxies")

	ended := w.connect(src, "customer-v1")
	w.condition(requests, "before", "Programmed", "True", "Programmed")
	w.create(requests, "tutorial", object("nobody", "nobody"))
	w.condition(requests, "nobody", "Programmed", "True", "NoProxies")

	// Another's node is refused, with a text that says why.
	other := w.connect(src, "preference-v1")
	select {
	case err := <-other:
		if status.Code(err) != codes.PermissionDenied || !strings.Contains(err.Error(), "there is no WorkloadEntry tutorial/preference-v1") {
			t.Errorf("another's node: %v", err)
		}
	case <-time.After(patience):
		t.Error("another's node is let in")
	}

	w.debugSocket()
	w.stop()
	select {
	case err := <-ended:
		if status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "the control plane stops") {
			t.Errorf("at the stop: %v", err)
		}
	case <-time.After(patience):
		t.Error("the stream outlives the control plane")
	}
}

// debugClient speaks to the debug socket.
func (w *world) debugClient() *http.Client {
	tr := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", w.debug)
	}}
	w.t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

func (w *world) debugSocket() {
	t := w.t
	t.Helper()
	fi, err := os.Stat(w.debug)
	if err != nil {
		t.Fatal(err)
	}
	if fi.Mode().Perm() != 0o600 {
		t.Errorf("debug socket has mode %v", fi.Mode())
	}
	client := w.debugClient()
	get := func(path string) string {
		rsp, err := client.Get("http://debug" + path)
		if err != nil {
			t.Fatal(err)
		}
		defer rsp.Body.Close()
		body, err := io.ReadAll(rsp.Body)
		if err != nil || rsp.StatusCode != http.StatusOK {
			t.Fatalf("%s: %d %v", path, rsp.StatusCode, err)
		}
		return string(body)
	}
	var proxies []struct{ Namespace, Name string }
	if err := json.Unmarshal([]byte(get("/debug/proxies")), &proxies); err != nil {
		t.Fatal(err)
	}
	if len(proxies) != 1 || proxies[0].Name != "customer-v1" || proxies[0].Namespace != "tutorial" {
		t.Errorf("proxies: %v", proxies)
	}
	if m := get("/metrics"); !strings.Contains(m, "usher_xds_proxies 1") {
		t.Error("metrics lack usher_xds_proxies 1")
	}
	for _, path := range []string{"/debug/model", "/debug/jwks", "/debug/xds?namespace=tutorial&name=customer-v1"} {
		body := get(path)
		if !json.Valid([]byte(body)) {
			t.Errorf("%s: not JSON: %.200s", path, body)
		}
		if strings.Contains(body, "c2VjcmV0LXNlY3JldC") {
			t.Errorf("%s shows a key", path)
		}
	}
}

func TestTokenOfAnotherAudience(t *testing.T) {
	w := startWorld(t)
	w.workload("something-else")
	r, err := newReviewer(w.cfg)
	if err != nil {
		t.Fatal(err)
	}
	for name, token := range map[string]string{"of another audience": w.token("something-else"), "garbage": "garbage", "of the API": w.token("")} {
		if ns, sa, err := r.Review(t.Context(), token, ca.Audience); err == nil || !strings.Contains(err.Error(), "denied") {
			t.Errorf("a token %s is %s/%s, %v", name, ns, sa, err)
		}
	}
	ns, sa, err := r.Review(t.Context(), w.token(ca.Audience), ca.Audience)
	if err != nil || ns != "tutorial" || sa != "customer" {
		t.Errorf("a good token: %s/%s, %v", ns, sa, err)
	}
}
