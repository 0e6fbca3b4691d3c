package strict

import (
	"testing"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

func TestValidate(t *testing.T) {
	pack := func(m proto.Message) *anypb.Any {
		a, err := anypb.New(m)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	endpoint := func(weight *endpointv3.LbEndpoint) *clusterv3.Cluster {
		return &clusterv3.Cluster{Name: "c", LoadAssignment: &endpointv3.ClusterLoadAssignment{ClusterName: "c",
			Endpoints: []*endpointv3.LocalityLbEndpoints{{LbEndpoints: []*endpointv3.LbEndpoint{weight}}}}}
	}
	manager := &hcmv3.HttpConnectionManager{StatPrefix: "s", StreamIdleTimeout: durationpb.New(-1)}
	for _, c := range []struct {
		m    proto.Message
		want string
	}{
		{&clusterv3.Cluster{Name: "c"}, ""},
		{&clusterv3.Cluster{}, "name: value length must be at least 1 runes"},
		{&clusterv3.Cluster{Name: "c", ConnectTimeout: durationpb.New(-1)}, "connect_timeout: value must be greater than 0s"},
		{&clusterv3.Cluster{Name: "c", CleanupInterval: durationpb.New(5), TransportSocketMatches: []*clusterv3.Cluster_TransportSocketMatch{{}}}, "transport_socket_matches[0].name: value length must be at least 1 runes"},
		{endpoint(&endpointv3.LbEndpoint{LoadBalancingWeight: wrapperspb.UInt32(0)}), "load_assignment.endpoints[0].lb_endpoints[0].load_balancing_weight: value must be greater than or equal to 1"},
		{&listenerv3.Listener{FilterChains: []*listenerv3.FilterChain{{Filters: []*listenerv3.Filter{{Name: "f", ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: pack(&hcmv3.HttpConnectionManager{})}}}}}},
			"filter_chains[0].filters[0].typed_config.stat_prefix: value length must be at least 1 runes"},
		{&listenerv3.Listener{DefaultFilterChain: &listenerv3.FilterChain{Filters: []*listenerv3.Filter{{Name: "f", ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: pack(manager)}}}}},
			"default_filter_chain.filters[0].typed_config.route_specifier: value is required"},
		{&clusterv3.Cluster{Name: "c", TypedExtensionProtocolOptions: map[string]*anypb.Any{"o": pack(&corev3.HttpProtocolOptions{IdleTimeout: durationpb.New(-1)})}},
			"typed_extension_protocol_options[o].idle_timeout: must not be negative"},
		{&clusterv3.Cluster{Name: "c", ConnectTimeout: &durationpb.Duration{Seconds: 9223372035, Nanos: 999999999}}, ""},
		{&clusterv3.Cluster{Name: "c", ConnectTimeout: &durationpb.Duration{Seconds: 9223372036}}, "connect_timeout: out of range"},
		{&clusterv3.Cluster{Name: "c", CommonLbConfig: &clusterv3.Cluster_CommonLbConfig{UpdateMergeWindow: &durationpb.Duration{Seconds: 9223372036}}}, "common_lb_config.update_merge_window: out of range"},
		{&clusterv3.Cluster{Name: "c", CommonLbConfig: &clusterv3.Cluster_CommonLbConfig{UpdateMergeWindow: &durationpb.Duration{Nanos: 1e9}}}, "common_lb_config.update_merge_window: out of range"},
		{&clusterv3.Cluster{Name: "c", TypedExtensionProtocolOptions: map[string]*anypb.Any{"o": {TypeUrl: "type.googleapis.com/no.such", Value: []byte{1}}}}, ""},
	} {
		got := ""
		if err := Validate(c.m); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%v:\n%s, want\n%s", c.m, got, c.want)
		}
	}
}
