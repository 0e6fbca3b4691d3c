package config

import (
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	rbacconfigv3 "github.com/envoyproxy/go-control-plane/envoy/config/rbac/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	rbacv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/rbac/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/usher-mesh/usher/internal/proxy/route"
	"github.com/usher-mesh/usher/internal/proxy/upstream"
	"github.com/usher-mesh/usher/internal/proxy/xds"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// running is a fake of listeners: it refuses stat_prefix "bad", panics at "panic" and,
// when it is put in force, at "late panic", and cannot bind "taken".
type running struct {
	mu       sync.Mutex
	m        map[string]*listenerv3.Listener
	rejudged int
	closed   int  // that were never applied
	fault    bool // Rejudge panics
}

type ready struct {
	r *running
	l *listenerv3.Listener
}

func (r *running) Compile(l *listenerv3.Listener) (Prepared, error) {
	switch l.GetStatPrefix() {
	case "bad":
		return nil, errors.New("stat_prefix: bad")
	case "panic":
		panic("compiler")
	}
	return ready{r, l}, nil
}

func (p ready) Close() {
	p.r.mu.Lock()
	defer p.r.mu.Unlock()
	p.r.closed++
}

func (p ready) Apply() error {
	switch p.l.GetStatPrefix() {
	case "taken":
		return errors.New("address in use")
	case "late panic":
		panic("listener")
	}
	p.r.mu.Lock()
	defer p.r.mu.Unlock()
	p.r.m[p.l.GetName()] = p.l
	return nil
}

func (r *running) Remove(n string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.m, n)
}

func (r *running) Rejudge() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fault {
		panic("listeners")
	}
	r.rejudged++
}

func (r *running) get(n string) *listenerv3.Listener {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.m[n]
}

func store(t *testing.T, file string, warm time.Duration) (*Store, *running) {
	ls := &running{m: map[string]*listenerv3.Listener{}}
	s := New(Options{
		Cluster:   func(m *clusterv3.Cluster) (*upstream.Cluster, error) { return upstream.Compile(m, upstream.Options{}) },
		Route:     func(m *routev3.RouteConfiguration) (*route.Table, error) { return route.Compile(m, nil) },
		Listeners: ls, File: file, WarmFor: warm, Log: slog.New(slog.DiscardHandler),
	})
	t.Cleanup(s.Close)
	return s, ls
}

func update(t *testing.T, version string, ms ...proto.Message) xds.Update {
	u := xds.Update{}
	for _, m := range ms {
		a, err := anypb.New(m)
		if err != nil {
			t.Fatal(err)
		}
		name := ""
		switch m := m.(type) {
		case interface{ GetClusterName() string }:
			name = m.GetClusterName()
		case interface{ GetName() string }:
			name = m.GetName()
		}
		u.Type = a.GetTypeUrl()
		u.Resources = append(u.Resources, xds.Resource{Name: name, Version: version, Body: a})
	}
	return u
}

func pack(t *testing.T, m proto.Message) *anypb.Any {
	a, err := anypb.New(m)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// lis makes a listener with an RBAC filter that names policy, and routes by name.
func lis(t *testing.T, name, stat, policy, rds string) *listenerv3.Listener {
	h := &hcmv3.HttpConnectionManager{}
	if rds != "" {
		h.RouteSpecifier = &hcmv3.HttpConnectionManager_Rds{Rds: &hcmv3.Rds{RouteConfigName: rds}}
	}
	if policy != "" {
		r := &rbacv3.RBAC{Rules: &rbacconfigv3.RBAC{Policies: map[string]*rbacconfigv3.Policy{policy: {}}}}
		h.HttpFilters = []*hcmv3.HttpFilter{{Name: "rbac", ConfigType: &hcmv3.HttpFilter_TypedConfig{TypedConfig: pack(t, r)}}}
	}
	return &listenerv3.Listener{Name: name, StatPrefix: stat, FilterChains: []*listenerv3.FilterChain{{
		Filters: []*listenerv3.Filter{{Name: "hcm", ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: pack(t, h)}}},
	}}}
}

func denies(l *listenerv3.Listener) bool {
	if l == nil {
		return false
	}
	for _, f := range l.GetFilterChains()[0].GetFilters() {
		if h := manager(f); h != nil && len(h.GetHttpFilters()) > 0 {
			return h.GetHttpFilters()[0].GetName() == "usher.deny"
		}
	}
	return false
}

func static(name string) *clusterv3.Cluster { return &clusterv3.Cluster{Name: name} }

var ofADS = &corev3.ConfigSource{ConfigSourceSpecifier: &corev3.ConfigSource_Ads{Ads: &corev3.AggregatedConfigSource{}}}

func eds(name string) *clusterv3.Cluster {
	return &clusterv3.Cluster{Name: name, ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_EDS},
		EdsClusterConfig: &clusterv3.Cluster_EdsClusterConfig{EdsConfig: ofADS}}
}

func routes(name, cluster string) *routev3.RouteConfiguration {
	return &routev3.RouteConfiguration{Name: name, VirtualHosts: []*routev3.VirtualHost{{Name: "v", Domains: []string{"*"}, Routes: []*routev3.Route{{
		Match:  &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: "/"}},
		Action: &routev3.Route_Route{Route: &routev3.RouteAction{ClusterSpecifier: &routev3.RouteAction_Cluster{Cluster: cluster}}},
	}}}}}
}
