package mirror

import (
	"crypto/x509"
	"encoding/pem"
	"testing"

	"github.com/usher-mesh/usher/internal/mesh"
)

// Roots that the mesh configuration brings are trusted at once, beside the others, and
// no longer when they are gone.
func TestExtraRoots(t *testing.T) {
	i := newIssuer(t, true, keySet(t, "a"))
	changed := make(chan string, 100)
	m := start(t, Options{Allow: machine, Roots: x509.NewCertPool(), OnChange: func(uri string) { changed <- uri }})
	sets := []mesh.KeySet{{URI: i.URL}}
	m.Set(sets, nil)
	if rsp, text := ask(t, m, Path(i.URL)); rsp.StatusCode != 503 {
		t.Fatalf("an unknown root: %s %q", rsp.Status, text)
	}
	root := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: i.Certificate().Raw})
	m.Set(sets, root)
	// No request waits for a throttle: the set is fetched because of the root.
	for m.States()[0].Keys == 0 {
		<-changed
	}
	if rsp, text := ask(t, m, Path(i.URL)); rsp.StatusCode != 200 {
		t.Fatalf("a root of the mesh configuration: %s %q", rsp.Status, text)
	}
	m.Set(sets, root) // no change, no fetch
	m.Set(nil, nil)
	m.Set(sets, nil)
	if rsp, text := ask(t, m, Path(i.URL)); rsp.StatusCode != 503 {
		t.Fatalf("a root that is gone: %s %q", rsp.Status, text)
	}
	if n := i.asked.Load(); n != 1 {
		t.Errorf("asked %d times", n)
	}
}
