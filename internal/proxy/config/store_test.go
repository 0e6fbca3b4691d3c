package config

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	proxytls "github.com/usher-mesh/usher/internal/proxy/tls"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/usher-mesh/usher/internal/proxy/xds"
)

func TestBadResourceAlone(t *testing.T) {
	s, ls := store(t, "", time.Hour)
	bad := static("bad")
	bad.LbPolicy = clusterv3.Cluster_LOAD_BALANCING_POLICY_CONFIG
	rejected := s.Apply(update(t, "1", static("a"), bad, static("b")))
	if len(rejected) != 1 || rejected["bad"] != "lb_policy: LOAD_BALANCING_POLICY_CONFIG: not supported" {
		t.Errorf("rejected %v", rejected)
	}
	if c := s.Snapshot().Clusters; c["a"] == nil || c["b"] == nil || c["bad"] != nil {
		t.Errorf("clusters %v", c)
	}
	// A bad version keeps the last good one, and its version.
	worse := static("a")
	worse.LbPolicy = clusterv3.Cluster_LOAD_BALANCING_POLICY_CONFIG
	if r := s.Apply(update(t, "2", worse)); r["a"] == "" {
		t.Error("taken")
	}
	if v := s.Versions(xds.ClusterType); s.Snapshot().Clusters["a"] == nil || v["a"] != "1" {
		t.Errorf("versions %v", v)
	}
	// One that makes a compiler panic is refused too.
	r := s.Apply(update(t, "1", lis(t, "p", "panic", "", ""), lis(t, "q", "", "", "")))
	if !strings.Contains(r["p"], "internal error") || len(r) != 1 || ls.get("q") == nil || ls.get("p") != nil {
		t.Errorf("rejected %v", r)
	}
	if r := s.Apply(update(t, "3", static("a"))); len(r) != 0 || s.Rejected() != 2 {
		t.Errorf("%v, %d rejected", r, s.Rejected())
	}
}

func TestBadNames(t *testing.T) {
	s, _ := store(t, "", time.Hour)
	u := update(t, "1", static("a"))
	u.Resources[0].Name = "b"
	if r := s.Apply(u); r["b"] != `the resource in it is named "a"` {
		t.Error(r)
	}
	u = update(t, "1", routes("a", "c"))
	u.Type = xds.ClusterType
	if r := s.Apply(u); !strings.Contains(r["a"], "not supported") {
		t.Error(r)
	}
}

// TestGuardChange: a refused version that would change who may pass denies; one
// that would not leaves the last good version in force.
func TestGuardChange(t *testing.T) {
	for _, c := range []struct {
		name, before, after string
		want                bool
	}{
		{"a policy is added", "", "p", true},
		{"a policy is changed", "p", "q", true},
		{"a policy is removed", "p", "", true},
		{"policy stays", "p", "p", false},
		{"there is none", "", "", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, ls := store(t, "", time.Hour)
			s.Apply(update(t, "1", lis(t, "l", "", c.before, "")))
			if r := s.Apply(update(t, "2", lis(t, "l", "bad", c.after, ""))); r["l"] != "stat_prefix: bad" {
				t.Fatalf("rejected %v", r)
			}
			if got := denies(ls.get("l")); got != c.want {
				t.Errorf("denies: %v", got)
			}
			s.Apply(update(t, "3", lis(t, "l", "", c.after, "")))
			if denies(ls.get("l")) {
				t.Error("still denies after a good version")
			}
			// The same good version as before the bad one must not be taken for
			// one that is in force already.
			s.Apply(update(t, "4", lis(t, "l", "bad", c.after+"x", "")))
			s.Apply(update(t, "5", lis(t, "l", "", c.after, "")))
			if denies(ls.get("l")) {
				t.Error("still denies after the good version came again")
			}
		})
	}
}

func TestFirstBadListener(t *testing.T) {
	s, ls := store(t, "", time.Hour)
	s.Apply(update(t, "1", lis(t, "l", "bad", "p", "")))
	if ls.get("l") != nil || len(s.Versions(xds.ListenerType)) != 0 {
		t.Error("something listens")
	}
}

// TestRefused: a listener that serves nobody, since its last version is bad, is
// told of; one whose last good version goes on is not.
func TestRefused(t *testing.T) {
	for name, c := range map[string]struct {
		versions [][2]string // stat_prefix and policy
		want     string
	}{
		"good":          {[][2]string{{"", "p"}}, ""},
		"first is bad":  {[][2]string{{"bad", "p"}}, "listener l is refused: stat_prefix: bad"},
		"no address":    {[][2]string{{"taken", "p"}}, "listener l is refused: address in use"},
		"denies":        {[][2]string{{"", "p"}, {"bad", "q"}}, "listener l is refused: stat_prefix: bad"},
		"goes on":       {[][2]string{{"", "p"}, {"bad", "p"}}, ""},
		"good at last":  {[][2]string{{"bad", "p"}, {"", "p"}}, ""},
		"denied before": {[][2]string{{"", "p"}, {"bad", "q"}, {"", "q"}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := store(t, "", time.Hour)
			for i, v := range c.versions {
				s.Apply(update(t, fmt.Sprint(i), lis(t, "l", v[0], v[1], "")))
			}
			if got := s.Refused(); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}

// TestRefusedAndWithdrawn: what a list of all resources does not have any more is not told as
// refused, however many of them a server tries.
func TestRefusedAndWithdrawn(t *testing.T) {
	s, _ := store(t, "", time.Hour)
	for _, names := range [][]string{{"a", "b"}, {"c"}} {
		var all []*anypb.Any
		for _, n := range names {
			all = append(all, pack(t, lis(t, n, "bad", "p", "")))
		}
		xds.ApplyWorld(s, xds.ListenerType, "1", all)
		if got := slices.Sorted(maps.Keys(s.rejected[xds.ListenerType])); !slices.Equal(got, names) {
			t.Errorf("refused are %q, want %q", got, names)
		}
	}
	if xds.ApplyWorld(s, xds.ListenerType, "2", nil); s.Refused() != "" {
		t.Error(s.Refused())
	}
}

func TestBadRouteDenies(t *testing.T) {
	s, ls := store(t, "", time.Hour)
	s.Apply(update(t, "1", lis(t, "l", "", "", "r")))
	bad := routes("r", "c")
	bad.InternalOnlyHeaders = []string{"x"}
	if r := s.Apply(update(t, "1", bad)); r["r"] != "internal_only_headers: not supported" {
		t.Fatalf("%v", r)
	}
	if s.Snapshot().Routes["r"] == nil || ls.get("l") == nil {
		t.Error("the listener waits for ever")
	}
	if len(s.Versions(xds.RouteType)) != 0 {
		t.Error("a refused first version counts as held")
	}
}

func TestWarming(t *testing.T) {
	s, ls := store(t, "", time.Hour)
	s.Apply(update(t, "1", eds("c")))
	s.Apply(update(t, "1", lis(t, "l", "", "", "r")))
	if s.Ready() || ls.get("l") != nil {
		t.Error("live without its routes")
	}
	if w := s.Wanted(xds.RouteType); !slices.Equal(w, []string{"r"}) {
		t.Errorf("wanted %v", w)
	}
	s.Apply(update(t, "1", routes("r", "c")))
	if s.Snapshot().Routes["r"] != nil || ls.get("l") != nil {
		t.Error("live before its cluster knows its endpoints")
	}
	s.Apply(update(t, "1", &endpointv3.ClusterLoadAssignment{ClusterName: "c"}))
	if s.Snapshot().Routes["r"] == nil || ls.get("l") == nil || !s.Ready() {
		t.Error("not live although all is there")
	}
	// A removed cluster stays for as long as a route names it.
	s.Apply(xds.Update{Type: xds.ClusterType, Removed: []string{"c"}})
	if s.Snapshot().Clusters["c"] == nil {
		t.Error("gone under its route")
	}
	s.Apply(update(t, "1", static("d")))
	s.Apply(update(t, "2", routes("r", "d")))
	if s.Snapshot().Clusters["c"] != nil {
		t.Error("still there")
	}
}

// A listener whose filters wait for something comes when that is there.
func TestFiltersWarm(t *testing.T) {
	var warm atomic.Bool
	ls := &running{m: map[string]*listenerv3.Listener{}}
	s := New(Options{Listeners: ls, WarmFor: time.Hour, Warm: warm.Load})
	defer s.Close()
	s.Apply(update(t, "1", lis(t, "l", "", "", "")))
	s.Recheck()
	if ls.get("l") != nil {
		t.Error("it does not wait")
	}
	warm.Store(true)
	s.Recheck()
	if ls.get("l") == nil {
		t.Error("it waits on")
	}
}

func TestWarmingIsBounded(t *testing.T) {
	live := make(chan struct{}, 100)
	ls := &running{m: map[string]*listenerv3.Listener{}}
	s := New(Options{Listeners: ls, WarmFor: 20 * time.Millisecond, OnChange: func() { live <- struct{}{} }})
	defer s.Close()
	s.Apply(update(t, "1", lis(t, "l", "", "", "never")))
	limit := time.After(10 * time.Second)
	for ls.get("l") == nil {
		select {
		case <-live:
		case <-limit:
			t.Fatal("waits for ever")
		}
	}
}

func TestDisk(t *testing.T) {
	file := filepath.Join(t.TempDir(), "config.pb")
	s, _ := store(t, file, time.Hour)
	s.Apply(update(t, "1", static("c")))
	s.Apply(update(t, "1", lis(t, "l", "", "p", "r"), lis(t, "d", "", "p", "")))
	s.Apply(update(t, "1", routes("r", "c")))
	s.Apply(update(t, "2", lis(t, "d", "bad", "q", "")))
	fi, err := os.Stat(file)
	if err != nil || fi.Mode().Perm() != 0o600 {
		t.Fatal(fi, err)
	}
	digest := s.Digest()

	again, ls := store(t, file, time.Hour)
	if again.Ready() {
		t.Error("ready before anything came")
	}
	if err := again.Load(); err != nil {
		t.Fatal(err)
	}
	if !again.Ready() || ls.get("l") == nil || again.Snapshot().Routes["r"] == nil || again.Snapshot().Clusters["c"] == nil {
		t.Error("not as before")
	}
	if !denies(ls.get("d")) || denies(ls.get("l")) {
		t.Error("what denied must deny after a restart, and nothing else")
	}
	if again.Digest() != digest {
		t.Error("another digest")
	}
	if v := again.Versions(xds.ListenerType); v["d"] != "1" || v["l"] != "1" {
		t.Errorf("versions %v", v)
	}

	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{0, 1, len(whole) / 2, len(whole) - 1} {
		if err := os.WriteFile(file, whole[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		cut, _ := store(t, file, time.Hour)
		if err := cut.Load(); err == nil || cut.Ready() {
			t.Errorf("a file cut at %d is used: %v", n, err)
		}
	}
}

func TestListenerRetried(t *testing.T) {
	s, ls := store(t, "", time.Hour)
	if r := s.Apply(update(t, "1", lis(t, "l", "taken", "", ""))); r["l"] != "address in use" {
		t.Errorf("%v", r)
	}
	d := s.Dump().Listeners.GetDynamicListeners()
	if len(d) != 1 || d[0].GetErrorState().GetDetails() != "address in use" || d[0].GetWarmingState() == nil || d[0].GetActiveState() != nil {
		t.Errorf("%+v", d)
	}
	if u := s.Unready()["l"]; len(u) != 1 || u[0] != "address address in use" {
		t.Errorf("%v", u)
	}
	if r := s.Apply(update(t, "2", lis(t, "l", "", "", ""))); len(r) != 0 || ls.get("l") == nil {
		t.Errorf("%v", r)
	}
}

// TestFaultOutsideOfCompilers: what finds a fault in us when it is put in force is
// refused, what was in force goes on, and open connections hear of it in the end.
func TestFaultOutsideOfCompilers(t *testing.T) {
	s, ls := store(t, "", time.Hour)
	if r := s.Apply(update(t, "1", lis(t, "p", "", "", "r"), lis(t, "q", "late panic", "", ""), lis(t, "r", "", "", ""))); len(r) != 1 || !strings.Contains(r["q"], "internal error") {
		t.Errorf("a listener: %v", r)
	}
	if ls.get("r") == nil || ls.get("q") != nil {
		t.Errorf("in force: %v", ls.m)
	}
	ls.fault = true
	if r := s.Apply(update(t, "1", routes("r", "a"))); len(r) != 1 || !strings.Contains(r[""], "internal error") {
		t.Errorf("routes: %v", r)
	}
	ls.mu.Lock()
	ls.fault = false
	before := ls.rejudged
	ls.mu.Unlock()
	s.Recheck()
	if ls.mu.Lock(); ls.rejudged != before+1 {
		t.Errorf("judged again %d times", ls.rejudged-before)
	}
	ls.mu.Unlock()
	if ls.get("p") == nil {
		t.Error("what waited for the routes does not serve")
	}
}

func TestDumpHidesKeys(t *testing.T) {
	sec := &tlsv3.Secret{Name: "kubernetes://a/b", Type: &tlsv3.Secret_TlsCertificate{TlsCertificate: &tlsv3.TlsCertificate{
		PrivateKey: &corev3.DataSource{Specifier: &corev3.DataSource_InlineBytes{InlineBytes: []byte("TOPSECRET")}},
	}}}
	for _, m := range []proto.Message{sec, &tlsv3.DownstreamTlsContext{CommonTlsContext: &tlsv3.CommonTlsContext{
		TlsCertificates: []*tlsv3.TlsCertificate{{PrivateKey: &corev3.DataSource{Specifier: &corev3.DataSource_InlineString{InlineString: "TOPSECRET"}}}},
	}}} {
		// Inside an Any too.
		wrapped := pack(t, &listenerv3.Filter{ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: pack(t, m)}})
		for _, a := range []*anypb.Any{pack(t, m), wrapped} {
			js := protojson.Format(show(a))
			if js == "" || strings.Contains(js, "TOPSECRET") || strings.Contains(js, "VE9QU0VDUkVU") {
				t.Errorf("shown: %s", js)
			}
		}
	}
}

func TestSecretsInlineOnly(t *testing.T) {
	s, _ := store(t, "", time.Hour)
	sec := &tlsv3.Secret{Name: "x", Type: &tlsv3.Secret_TlsCertificate{TlsCertificate: &tlsv3.TlsCertificate{
		CertificateChain: &corev3.DataSource{Specifier: &corev3.DataSource_Filename{Filename: "/etc/passwd"}},
	}}}
	if r := s.Apply(update(t, "1", sec)); r["x"] != "tls_certificate.certificate_chain: must be inline: not supported" {
		t.Errorf("%v", r)
	}
	if _, err := s.Certificate(proxytls.OwnCertificate); err == nil {
		t.Error("an identity out of nowhere")
	}
}

// TestEndpointsWithinBounds: endpoints keep to the constraints of Envoy's API.
func TestEndpointsWithinBounds(t *testing.T) {
	s, _ := store(t, "", time.Hour)
	s.Apply(update(t, "1", eds("c")))
	bad := &endpointv3.ClusterLoadAssignment{ClusterName: "c", Policy: &endpointv3.ClusterLoadAssignment_Policy{OverprovisioningFactor: wrapperspb.UInt32(0)}}
	if r := s.Apply(update(t, "1", bad)); r["c"] != "policy.overprovisioning_factor: value must be greater than 0" {
		t.Errorf("%v", r)
	}
}
