package config

import (
	"strings"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	basicv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/basic_auth/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/encoding/protowire"
)

// TestUndecodableRoute: of a version that cannot be decoded nobody knows what it would
// guard, so the table denies.
func TestUndecodableRoute(t *testing.T) {
	s, _ := store(t, "", 50*time.Millisecond)
	h := &hcmv3.HttpConnectionManager{RouteSpecifier: &hcmv3.HttpConnectionManager_Rds{Rds: &hcmv3.Rds{RouteConfigName: "r"}}}
	l := &listenerv3.Listener{Name: "l", Address: &corev3.Address{}, FilterChains: []*listenerv3.FilterChain{{Filters: []*listenerv3.Filter{{
		ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: pack(t, h)}}}}}}
	s.Apply(update(t, "1", l))
	good := &routev3.RouteConfiguration{Name: "r", VirtualHosts: []*routev3.VirtualHost{{Name: "v", Domains: []string{"*"}}}}
	if bad := s.Apply(update(t, "1", good)); len(bad) > 0 {
		t.Fatal(bad)
	}
	u := update(t, "2", good)
	u.Resources[0].Body.Value = protowire.AppendTag(u.Resources[0].Body.Value, 2, protowire.BytesType) // cut short
	if bad := s.Apply(u); len(bad) != 1 {
		t.Fatal("taken", bad)
	}
	for _, d := range s.Dump().Routes.GetDynamicRouteConfigs() {
		if !strings.HasPrefix(d.GetErrorState().GetDetails(), deniesAll) {
			t.Error("an undecodable route table: the last version goes on serving")
		}
	}
}

// TestUnknownGuard: a refused version that adds authentication of a kind that is not
// supported does not leave the open one in force.
func TestUnknownGuard(t *testing.T) {
	s, ls := store(t, "", 50*time.Millisecond)
	v1 := lis(t, "l", "", "", "")
	if bad := s.Apply(update(t, "1", v1)); len(bad) > 0 {
		t.Fatal(bad)
	}
	h := &hcmv3.HttpConnectionManager{HttpFilters: []*hcmv3.HttpFilter{{Name: "basic", ConfigType: &hcmv3.HttpFilter_TypedConfig{
		TypedConfig: pack(t, &basicv3.BasicAuth{ForwardUsernameHeader: "x"})}}}}
	v2 := lis(t, "l", "bad", "", "")
	v2.FilterChains[0].Filters[0].ConfigType = &listenerv3.Filter_TypedConfig{TypedConfig: pack(t, h)}
	if bad := s.Apply(update(t, "2", v2)); len(bad) != 1 {
		t.Fatal("taken")
	}
	for _, d := range s.Dump().Listeners.GetDynamicListeners() {
		if !strings.HasPrefix(d.GetErrorState().GetDetails(), deniesAll) && ls.get("l") != nil {
			t.Error("a bad version would have added basic_auth: the open one goes on serving")
		}
	}
}
