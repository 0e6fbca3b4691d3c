package app

import (
	"context"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/usher-mesh/usher/internal/control/issuer"
	"github.com/usher-mesh/usher/internal/control/mirror"
	"github.com/usher-mesh/usher/internal/jwks"
	"github.com/usher-mesh/usher/internal/mesh"
	"github.com/usher-mesh/usher/test/keyserver"
)

// TestHostileKeyServers: whatever a server of keys does, the object that names it
// says what, a metric counts it, and other objects do not suffer.
func TestHostileKeyServers(t *testing.T) {
	authority := keyserver.NewCA(t)
	roots := filepath.Join(t.TempDir(), "roots.pem")
	if err := os.WriteFile(roots, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: authority.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SSL_CERT_FILE", roots)
	good := keyserver.NewIssuer(t, "good", "a")
	plain := httptest.NewServer(good)
	defer plain.Close()

	w := startWorld(t)
	if _, err := w.kube.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "tutorial"}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	create := func(name, source string) {
		w.create(requests, "tutorial", fmt.Sprintf(
			"{apiVersion: security.istio.io/v1, kind: RequestAuthentication, metadata: {name: %s}, spec: {jwtRules: [{%s}]}}", name, source))
	}
	create("good", "issuer: good, jwksUri: '"+plain.URL+"'")
	w.says(requests, "good", "Accepted", "")

	type object struct{ name, uri, says, reason string }
	var all []object
	for i, h := range keyserver.HostileServers(good.JWKS(), plain.URL) {
		s := authority.Start(h)
		all = append(all, object{fmt.Sprint("h", i), s.URL + "/keys", "there are no keys, so tokens are refused: " + s.URL + "/keys: ", h.Reason})
		create(all[i].name, "issuer: x, jwksUri: '"+all[i].uri+"'")
		all[i].says = "key set " + all[i].uri + ": " + all[i].says
	}
	// One that names an issuer alone.
	create("issuer", "issuer: '"+plain.URL+"'")
	uri := plain.URL + "/.well-known/openid-configuration#" + plain.URL
	all = append(all, object{"issuer", uri, "keys of issuer " + plain.URL + ": there are no keys, so tokens are refused: ", "discovery"})
	// And one that must not be asked.
	create("metadata", "issuer: x, jwksUri: 'http://169.254.169.254/keys?password=hunter2'")
	uri = "http://169.254.169.254/keys"
	all = append(all, object{"metadata", jwks.Shown(uri + "?password=hunter2"), uri, "forbidden"})

	for _, o := range all {
		t.Log(w.says(requests, o.name, "Accepted", o.says))
	}
	metrics := w.metrics()
	for _, o := range all {
		if n := sample(metrics, "usher_jwks_fetch_failures_total", o.reason, o.uri); n < 1 {
			t.Errorf("%s: %v failures of reason %q are counted", o.uri, n, o.reason)
		}
		if n := sample(metrics, "usher_jwks_keys", o.uri); n != 0 {
			t.Errorf("%s: %v keys", o.uri, n)
		}
	}
	if n, age := sample(metrics, "usher_jwks_keys", plain.URL), sample(metrics, "usher_jwks_age_seconds", plain.URL); n != 1 || age < 0 || age > 60 {
		t.Errorf("of the good one there are %v keys, %v s old", n, age)
	}
	if n := sample(metrics, "usher_jwks_fetch_seconds_count", "ok"); n < 1 {
		t.Errorf("%v good fetches in the histogram", n)
	}
	if strings.Contains(metrics, "hunter2") || strings.Contains(metrics, keyserver.Secret) {
		t.Error("a metric holds a secret")
	}
	if m := w.says(requests, "good", "Accepted", ""); m != "" {
		t.Errorf("the good one says %q", m)
	}
}

// sample is the value of the series with these label values, -1 if there is none.
func sample(metrics, name string, values ...string) float64 {
lines:
	for l := range strings.Lines(metrics) {
		if !strings.HasPrefix(l, name+"{") {
			continue
		}
		for _, v := range values {
			if !strings.Contains(l, `"`+v+`"`) {
				continue lines
			}
		}
		var n float64
		if _, err := fmt.Sscan(l[strings.LastIndexByte(l, ' '):], &n); err == nil {
			return n
		}
	}
	return -1
}

// Old keys are warned of from an hour on, and nobody is told of a moment's failure.
func TestOldKeysAreWarnedOf(t *testing.T) {
	i := keyserver.NewIssuer(t, "good", "a")
	s := httptest.NewServer(i)
	defer s.Close()
	changed := make(chan struct{}, 10)
	m, err := mirror.New(mirror.Options{Allow: mirror.Policy{Loopback: true}, OnChange: func(string) { changed <- struct{}{} }})
	if err != nil {
		t.Fatal(err)
	}
	ref := mesh.Ref{Kind: "RequestAuthentication", Namespace: "t", Name: "a"}
	sets := []mesh.KeySet{{URI: s.URL, Owners: []mesh.Ref{ref}}}
	p := &pipeline{mirror: m}
	p.model.Store(&mesh.Model{KeySets: sets})
	m.Set(sets, nil)
	defer closed(t, m)
	<-changed
	fetched := m.States()[0].Fetched
	i.Fail(true)
	rsp := httptest.NewRecorder()
	m.Handler().ServeHTTP(rsp, httptest.NewRequest(http.MethodGet, mirror.Path(s.URL)+"?kid=b", nil))
	if rsp.Code != http.StatusOK {
		t.Fatal(rsp.Code)
	}
	if w := p.warnings(fetched.Add(59 * time.Minute))[ref]; len(w) != 0 {
		t.Errorf("within an hour: %q", w)
	}
	w := p.warnings(fetched.Add(61 * time.Minute))[ref]
	want := "key set " + s.URL + ": no good fetch since " + fetched.UTC().Format(time.RFC3339) + ": " + s.URL + ": answers 503, not 200"
	if len(w) != 1 || w[0] != want {
		t.Errorf("after an hour: %q, want %q", w, want)
	}
}

// Whoever trusts a key that everybody can sign with is told so, wherever it comes
// from.
func TestSampleKeyIsWarnedOf(t *testing.T) {
	got := faults(jwks.State{Keys: 2, KIDs: []string{"a", issuer.SampleKID}, Warnings: []string{"another"}}, time.Now())
	if len(got) != 2 || !strings.Contains(got[0], "whose private half is published") || got[1] != "another" {
		t.Errorf("faults %q", got)
	}
	if got := faults(jwks.State{Keys: 1, KIDs: []string{"a"}}, time.Now()); len(got) != 0 {
		t.Errorf("faults %q", got)
	}
}

// closed ends the mirror's fetches.
func closed(t *testing.T, m *mirror.Mirror) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := m.Run(ctx); err != nil {
		t.Error(err)
	}
}

// metrics are what the debug socket shows.
func (w *world) metrics() string {
	w.t.Helper()
	rsp, err := w.debugClient().Get("http://debug/metrics")
	if err != nil {
		w.t.Fatal(err)
	}
	defer rsp.Body.Close()
	b, err := io.ReadAll(rsp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return string(b)
}
