package config

import (
	"errors"
	"fmt"
	"testing"
	"time"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"

	"github.com/usher-mesh/usher/internal/proxy/proxytest"
	proxytls "github.com/usher-mesh/usher/internal/proxy/tls"
	"github.com/usher-mesh/usher/internal/proxy/xds"
)

// TestNeverApplied: each version of a listener that waits when another one, a denial, its
// removal or the end takes its place is let go.
func TestNeverApplied(t *testing.T) {
	s, ls := store(t, "", time.Hour)
	s.Apply(update(t, "1", lis(t, "served", "", "p", "")))
	closed := func(want int) {
		t.Helper()
		ls.mu.Lock()
		defer ls.mu.Unlock()
		if ls.closed != want {
			t.Errorf("%d let go, want %d", ls.closed, want)
		}
	}
	s.Apply(update(t, "2", lis(t, "served", "a", "p", "unknown")))
	closed(0)
	s.Apply(update(t, "3", lis(t, "served", "b", "p", "unknown")))
	closed(1)
	s.Apply(update(t, "4", lis(t, "served", "bad", "q", "unknown")))
	closed(2)
	if !denies(ls.get("served")) {
		t.Error("it does not deny")
	}
	s.Apply(update(t, "1", lis(t, "waits", "", "", "unknown")))
	s.Apply(xds.Update{Type: xds.ListenerType, Removed: []string{"waits"}})
	closed(3)
	s.Apply(update(t, "1", lis(t, "waits", "", "", "unknown")))
	s.Close()
	closed(4)
}

// TestRefusedNamesGo: why a resource is refused is forgotten when nothing names it.
func TestRefusedNamesGo(t *testing.T) {
	s, _ := store(t, "", time.Hour)
	for i := range 100 {
		name := fmt.Sprint("r", i)
		s.Apply(update(t, "1", lis(t, "l", "", "", name)))
		bad := routes(name, "c")
		bad.VirtualHosts[0].Domains = nil
		if r := s.Apply(update(t, "1", bad)); r[name] == "" {
			t.Fatal("taken")
		}
	}
	if n := s.Rejected(); n != 1 {
		t.Errorf("%d refused", n)
	}
}

// TestStaticStays: what is the bootstrap's is neither replaced nor removed over xDS.
func TestStaticStays(t *testing.T) {
	s, ls := store(t, "", time.Hour)
	ads := &corev3.ConfigSource{ConfigSourceSpecifier: &corev3.ConfigSource_Ads{}}
	roots := func(name string) *tlsv3.Secret {
		return &tlsv3.Secret{Name: name, Type: &tlsv3.Secret_ValidationContext{ValidationContext: &tlsv3.CertificateValidationContext{
			TrustedCa: &corev3.DataSource{Specifier: &corev3.DataSource_InlineString{InlineString: string(proxytest.NewCA(t).RootPEM())}}}}}
	}
	if err := s.Static(&bootstrapv3.Bootstrap{StaticResources: &bootstrapv3.Bootstrap_StaticResources{
		Clusters: []*clusterv3.Cluster{static("c")}, Listeners: []*listenerv3.Listener{lis(t, "l", "", "p", "")}, Secrets: []*tlsv3.Secret{roots("s")},
	}, DynamicResources: &bootstrapv3.Bootstrap_DynamicResources{CdsConfig: ads, LdsConfig: ads}}); err != nil {
		t.Fatal(err)
	}
	secret := proxytls.StaticSecret("s")
	before, err := s.Roots(secret)
	if err != nil {
		t.Fatal(err)
	}
	cluster := s.Snapshot().Clusters["c"]
	other := static("c")
	other.AltStatName = "other"
	if r := s.Apply(update(t, "1", roots(secret))); r[secret] == "" {
		t.Error("a secret is taken under a key")
	}
	if r := s.Apply(xds.Update{Type: xds.SecretType, Removed: []string{secret}}); r[secret] == "" {
		t.Error("a secret is removed by its key")
	}
	for _, u := range []xds.Update{update(t, "1", other), update(t, "1", lis(t, "l", "other", "", ""))} {
		if r := s.Apply(u); len(r) > 0 { // Envoy takes no notice either
			t.Errorf("%s: refused %v", u.Type, r)
		}
		s.Apply(xds.Update{Type: u.Type, Removed: []string{u.Resources[0].Name}})
	}
	if after, err := s.Roots(secret); err != nil || after != before {
		t.Errorf("roots: %v", errors.Join(err, errors.New("replaced")))
	}
	if cluster == nil || s.Snapshot().Clusters["c"] != cluster || ls.get("l").GetStatPrefix() != "" {
		t.Error("replaced, or gone")
	}
}

// TestListenerFiltersGuard: who connects is part of who may pass, so a bad version that
// would tell it in another way denies.
func TestListenerFiltersGuard(t *testing.T) {
	s, ls := store(t, "", time.Hour)
	l := lis(t, "l", "", "p", "")
	l.ListenerFilters = []*listenerv3.ListenerFilter{{Name: "envoy.filters.listener.proxy_protocol"}}
	s.Apply(update(t, "1", l))
	s.Apply(update(t, "2", lis(t, "l", "bad", "p", "")))
	if !denies(ls.get("l")) {
		t.Error("it goes on")
	}
}
