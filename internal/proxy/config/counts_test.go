package config

import (
	"strings"
	"testing"
	"time"

	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"

	"github.com/usher-mesh/usher/internal/proxy/counters"
	"github.com/usher-mesh/usher/internal/proxy/xds"
)

// TestCounts: what is counted of a subscription is its managers', and goes with it.
func TestCounts(t *testing.T) {
	s, _ := store(t, "", time.Hour)
	s.o.Counters = &counters.Set{}
	of := func() string {
		var out []string
		for _, v := range s.o.Counters.List() {
			if v.Value > 0 {
				out = append(out, v.Scope.Prefix+v.Of+"."+v.Name.Name)
			}
		}
		return strings.Join(out, " ")
	}
	manager := func(prefix string) *listenerv3.Filter {
		return &listenerv3.Filter{ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: pack(t, &hcmv3.HttpConnectionManager{
			StatPrefix: prefix, RouteSpecifier: &hcmv3.HttpConnectionManager_Rds{Rds: &hcmv3.Rds{RouteConfigName: "r"}}})}}
	}
	s.Apply(update(t, "1", &listenerv3.Listener{Name: "l", FilterChains: []*listenerv3.FilterChain{{Filters: []*listenerv3.Filter{manager("a")}}, {Filters: []*listenerv3.Filter{manager("b")}}}}))
	s.Apply(update(t, "1", eds("up")))
	for _, typ := range []string{xds.ClusterType, xds.ListenerType} {
		s.Count(typ, xds.Success, xds.Wildcard)
	}
	s.Count(xds.EndpointType, xds.Rejected, "up", "nobody's")
	s.Count(xds.RouteType, xds.Failure, "r")
	_, file := fromFile(t)
	s.From(file).Count(xds.RouteType, xds.Timeout, "r") // another "r"
	want := "cluster.up.update_rejected cluster_manager.cds.update_success http.a.rds.r.update_failure http.b.rds.r.update_failure listener_manager.lds.update_success"
	if got := of(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	s.Apply(update(t, "2", &listenerv3.Listener{Name: "l", FilterChains: []*listenerv3.FilterChain{{Filters: []*listenerv3.Filter{manager("b")}}}}))
	s.Apply(xds.Update{Type: xds.ClusterType, Removed: []string{"up"}})
	s.Recheck()
	want = "cluster_manager.cds.update_success http.b.rds.r.update_failure listener_manager.lds.update_success"
	if got := of(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
