package app

import (
	"context"
	"encoding/base64"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/usher-mesh/usher/internal/jose"
	"github.com/usher-mesh/usher/internal/jwks"
	"github.com/usher-mesh/usher/internal/proxy/bootstrap/sidecar"
	"github.com/usher-mesh/usher/internal/proxy/filter/jwtauthn"
	"github.com/usher-mesh/usher/internal/proxy/metrics"
	"github.com/usher-mesh/usher/internal/proxy/snapshot"
	"github.com/usher-mesh/usher/internal/proxy/upstream"
	"github.com/usher-mesh/usher/test/keyserver"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// cluster is one of a single endpoint, in clear.
func cluster(t *testing.T, name, url string) *upstream.Cluster {
	t.Helper()
	at := netip.MustParseAddrPort(strings.TrimPrefix(url, "http://"))
	c, err := upstream.Compile(&clusterv3.Cluster{
		Name: name, ConnectTimeout: durationpb.New(time.Second),
		ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STATIC},
		LoadAssignment: &endpointv3.ClusterLoadAssignment{ClusterName: name, Endpoints: []*endpointv3.LocalityLbEndpoints{{
			LbEndpoints: []*endpointv3.LbEndpoint{{HostIdentifier: &endpointv3.LbEndpoint_Endpoint{Endpoint: &endpointv3.Endpoint{
				Address: &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
					Address: at.Addr().String(), PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: uint32(at.Port())},
				}}},
			}}}},
		}}},
	}, upstream.Options{Log: slog.New(slog.DiscardHandler), Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// startKeySets has one cluster of that name.
func startKeySets(t *testing.T, name, url, dir string) (*keySets, *metrics.Registry) {
	t.Helper()
	snap := &snapshot.Snapshot{Clusters: map[string]*upstream.Cluster{name: cluster(t, name, url)}}
	m := metrics.New(metrics.Self{})
	k := newKeySets(func() *snapshot.Snapshot { return snap }, dir, nil, m, slog.New(slog.DiscardHandler))
	t.Cleanup(k.close)
	return k, m
}

// verify judges a token by the keys that there are for it.
func verify(k *keySets, s jwtauthn.Source, token string) error {
	tok, err := jose.Parse(token, 0)
	if err != nil {
		return err
	}
	keys, err := k.Keys(context.Background(), s, tok.KeyID)
	if err != nil {
		return err
	}
	_, err = keys.Verify(tok)
	return err
}

func text(t *testing.T, m *metrics.Registry) string {
	t.Helper()
	var b strings.Builder
	if err := m.WritePrometheus(&b, metrics.Query{}); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// A set that the bootstrap names is fetched from its own cluster, and again at once
// when a key is new.
func TestRemoteKeys(t *testing.T) {
	i := keyserver.NewIssuer(t, "i", "a")
	s := httptest.NewServer(i)
	defer s.Close()
	k, m := startKeySets(t, "issuer", s.URL, t.TempDir())
	src := jwtauthn.Source{Cluster: "issuer", URI: "http://i.example/keys?password=hunter2", Timeout: time.Second}
	k.Want(src)
	if err := verify(k, src, i.Token("a", time.Hour)); err != nil {
		t.Fatal(err)
	}
	i.Publish("b")
	if err := verify(k, src, i.Token("b", time.Hour)); err != nil {
		t.Errorf("the first token of a new key: %v", err)
	}
	var wg sync.WaitGroup
	madeUp, begun := i.Token("made up", time.Hour), time.Now()
	for range 1000 {
		wg.Go(func() {
			if err := verify(k, src, madeUp); jose.KindOf(err) != jose.NoMatchingKey {
				t.Errorf("a made up key: %v", err)
			}
		})
	}
	wg.Wait()
	asked := i.Asked.Load()
	if windows := int64(time.Since(begun) / (5 * time.Second)); int64(asked) < 3 || int64(asked) > 3+windows {
		t.Errorf("the issuer was asked %d times, %d windows of the throttle after the first", asked, windows)
	}
	shown := text(t, m)
	for _, want := range []string{
		`usher_jwks_keys{cluster="issuer",uri="http://i.example/keys?`, `usher_jwks_age_seconds{cluster="issuer",uri=`,
		fmt.Sprintf(`usher_jwks_fetch_seconds_count{result="ok"} %d`, asked),
	} {
		if !strings.Contains(shown, want) {
			t.Errorf("metrics lack %s", want)
		}
	}
	if strings.Contains(shown, "hunter2") {
		t.Error("metrics hold a password")
	}
}

// A proxy that starts anew while the mirror is away goes on with the keys on disk,
// and refuses what they do not know.
func TestRestartWithoutTheMirror(t *testing.T) {
	i := keyserver.NewIssuer(t, "i", "a")
	mirror := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, rq *http.Request) {
		w.Header().Set(jwks.AgeHeader, "3600")
		i.ServeHTTP(w, rq)
	}))
	defer mirror.Close()
	dir := t.TempDir()
	src := jwtauthn.Source{
		Cluster: sidecar.MirrorCluster, Timeout: time.Second,
		URI: "http://usher-jwks-mirror/jwks/" + base64.RawURLEncoding.EncodeToString([]byte("https://issuer.example/keys")),
	}
	before, _ := startKeySets(t, sidecar.MirrorCluster, mirror.URL, dir)
	if err := verify(before, src, i.Token("a", time.Hour)); err != nil { // also without Want
		t.Fatal(err)
	}
	before.close()
	asked := i.Asked.Load()
	mirror.Close()

	after, m := startKeySets(t, sidecar.MirrorCluster, mirror.URL, dir)
	after.Want(src)
	if err := verify(after, src, i.Token("a", time.Hour)); err != nil {
		t.Errorf("a good token: %v", err)
	}
	i.Publish("b")
	if err := verify(after, src, i.Token("b", time.Hour)); jose.KindOf(err) != jose.NoMatchingKey {
		t.Errorf("a token of a new key: %v", err)
	}
	if n := i.Asked.Load(); n != asked {
		t.Errorf("asked %d times since", n-asked)
	}
	shown := text(t, m)
	const labels = `{cluster="usher-jwks-mirror",uri="https://issuer.example/keys"`
	for _, want := range []string{"usher_jwks_keys" + labels + "} 1", "usher_jwks_fetch_failures_total" + labels + `,reason="connect"} `, "usher_jwks_age_seconds" + labels + "} 3600."} {
		if !strings.Contains(shown, want) {
			t.Errorf("metrics lack %s in\n%s", want, shown)
		}
	}
	after.close()
	if err := verify(after, src, i.Token("a", time.Hour)); err != errStopped {
		t.Errorf("after the end: %v", err)
	}
}

// The bootstrap's timeout and cache_duration count; the mirror has its own pace.
func TestTarget(t *testing.T) {
	src := jwtauthn.Source{Cluster: "c", URI: "u", Timeout: 3 * time.Second, CacheDuration: time.Minute}
	if got, want := target(src), (jwks.Target{URI: "u", Timeout: 3 * time.Second, Refresh: time.Minute}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	src.Retries, src.BackOff, src.MaxBackOff, src.Refetch = 2, time.Millisecond, time.Second, time.Minute
	if got, want := target(src), (jwks.Target{
		URI: "u", Timeout: 3 * time.Second, Refresh: time.Minute,
		Retry: jwks.Retry{Times: 2, Base: time.Millisecond, Max: time.Second}, Refetch: time.Minute,
	}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	src.CacheDuration = 0
	if got := target(src); got.Refresh != 10*time.Minute {
		t.Errorf("%+v", got)
	}
	src.Cluster = sidecar.MirrorCluster
	if got := target(src); got != (jwks.Target{URI: "u", Timeout: 3 * time.Second}) {
		t.Errorf("%+v", got)
	}
}

// Listeners wait for the first fetch, good or not, of who asks for that.
func TestListenersWait(t *testing.T) {
	for name, status := range map[string]int{"good": 200, "failed": 500} {
		t.Run(name, func(t *testing.T) {
			i := keyserver.NewIssuer(t, "i", "a")
			answer := make(chan struct{})
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, rq *http.Request) {
				<-answer
				if status != 200 {
					w.WriteHeader(status)
					return
				}
				i.ServeHTTP(w, rq)
			}))
			defer s.Close()
			k, _ := startKeySets(t, "issuer", s.URL, "")
			told := make(chan struct{})
			k.settled = func() { close(told) }
			k.Want(jwtauthn.Source{Cluster: "issuer", URI: "http://i.example/fast", Timeout: time.Second})
			if !k.warm() {
				t.Error("fast_listener: listeners wait")
			}
			k.Want(jwtauthn.Source{Cluster: "issuer", URI: "http://i.example/keys", Timeout: 5 * time.Second, Wait: true})
			if k.warm() {
				t.Error("listeners do not wait")
			}
			close(answer)
			<-told
			if !k.warm() {
				t.Error("listeners wait on")
			}
		})
	}
}
