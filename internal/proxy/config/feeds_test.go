package config

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/usher-mesh/usher/internal/proxy/counters"
	"github.com/usher-mesh/usher/internal/proxy/origin"
	"github.com/usher-mesh/usher/internal/proxy/upstream"
	"github.com/usher-mesh/usher/internal/proxy/xds"
)

// fromFile makes a source of a file that is there.
func fromFile(t *testing.T) (*corev3.ConfigSource, origin.Source) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "f.yaml")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	c := &corev3.ConfigSource{ConfigSourceSpecifier: &corev3.ConfigSource_PathConfigSource{PathConfigSource: &corev3.PathConfigSource{Path: file}}}
	return c, origin.Source{Path: file}
}

// TestSourcesApart: what has one name in two sources is two resources, of which none takes
// the other's place.
func TestSourcesApart(t *testing.T) {
	s, _ := store(t, "", time.Hour)
	c, file := fromFile(t)
	eds := func(name string, from *corev3.ConfigSource) *clusterv3.Cluster {
		return &clusterv3.Cluster{Name: name, ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_EDS},
			EdsClusterConfig: &clusterv3.Cluster_EdsClusterConfig{ServiceName: "svc", EdsConfig: from}}
	}
	s.Apply(update(t, "1", eds("a", ofADS), eds("b", c)))
	if got := s.Feeds(); !slices.Equal(got, []xds.Feed{{Source: file, Type: xds.EndpointType}}) {
		t.Fatalf("feeds: %v", got)
	}
	if ads, other := s.Wanted(xds.EndpointType), s.From(file).Wanted(xds.EndpointType); !slices.Equal(ads, []string{"svc"}) || !slices.Equal(other, ads) {
		t.Fatalf("wanted: %q, %q", ads, other)
	}
	hosts := func(name string) int { return len(s.Snapshot().Clusters[name].Show().GetHostStatuses()) }
	at := func(port uint32) *endpointv3.ClusterLoadAssignment {
		a := &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{Address: "127.0.0.1", PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: port}}}}
		return &endpointv3.ClusterLoadAssignment{ClusterName: "svc", Endpoints: []*endpointv3.LocalityLbEndpoints{{LbEndpoints: []*endpointv3.LbEndpoint{{
			HostIdentifier: &endpointv3.LbEndpoint_Endpoint{Endpoint: &endpointv3.Endpoint{Address: a}}}}}}}
	}
	s.From(file).Apply(update(t, "2", at(1)))
	if hosts("a") != 0 || hosts("b") != 1 {
		t.Errorf("a file's: %d and %d hosts", hosts("a"), hosts("b"))
	}
	s.Apply(update(t, "3", at(2)))
	if v, w := s.Versions(xds.EndpointType), s.From(file).Versions(xds.EndpointType); v["svc"] != "3" || w["svc"] != "2" || len(v)+len(w) != 2 {
		t.Errorf("versions %v, %v", v, w)
	}
	key := origin.Name{Source: file, Name: "svc"}.Key()
	if r := s.Apply(xds.Update{Type: xds.EndpointType, Removed: []string{key}}); r[key] == "" || hosts("b") != 1 {
		t.Errorf("removed by its key: %v", r)
	}
	s.Apply(xds.Update{Type: xds.EndpointType, Removed: []string{"svc"}})
	if hosts("a") != 0 || hosts("b") != 1 {
		t.Errorf("removed over ADS: %d and %d hosts", hosts("a"), hosts("b"))
	}
}

// TestOneSourceOfLists: listeners and clusters come from where the bootstrap says, and from
// nowhere else; listeners are asked for when the clusters have come, or do not come.
func TestOneSourceOfLists(t *testing.T) {
	s, ls := store(t, "", time.Hour)
	c, file := fromFile(t)
	l, other := fromFile(t)
	if err := s.Static(&bootstrapv3.Bootstrap{DynamicResources: &bootstrapv3.Bootstrap_DynamicResources{CdsConfig: c, LdsConfig: l}}); err != nil {
		t.Fatal(err)
	}
	if got := s.Feeds(); !slices.Equal(got, []xds.Feed{{Source: file, Type: xds.ClusterType}}) {
		t.Fatalf("feeds: %v", got)
	}
	if w := s.Wanted(xds.ClusterType); len(w) > 0 {
		t.Errorf("%q over ADS", w)
	}
	if r := s.Apply(update(t, "1", lis(t, "l", "", "", ""))); r["l"] == "" || ls.get("l") != nil {
		t.Errorf("taken over ADS: %v", r)
	}
	s.From(file).GiveUp(xds.ClusterType, xds.Wildcard)
	if got := s.Feeds(); !slices.Equal(got, []xds.Feed{{Source: file, Type: xds.ClusterType}, {Source: other, Type: xds.ListenerType}}) {
		t.Fatalf("feeds: %v", got)
	}
	if s.Ready() {
		t.Error("ready without listeners")
	}
	s.From(other).Apply(update(t, "1", lis(t, "l", "", "", "")))
	if ls.get("l") == nil || !s.Ready() {
		t.Error("no listener")
	}
}

// TestGivenUp: a listener waits for routes that are to come from a file until they are given
// up.
func TestGivenUp(t *testing.T) {
	s, ls := store(t, "", time.Hour)
	s.o.Counters = &counters.Set{}
	c, file := fromFile(t)
	h := &hcmv3.HttpConnectionManager{StatPrefix: "s", RouteSpecifier: &hcmv3.HttpConnectionManager_Rds{Rds: &hcmv3.Rds{RouteConfigName: "r", ConfigSource: c}}}
	l := &listenerv3.Listener{Name: "l", FilterChains: []*listenerv3.FilterChain{{Filters: []*listenerv3.Filter{{ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: pack(t, h)}}}}}}
	s.Apply(update(t, "1", l))
	if ls.get("l") != nil {
		t.Fatal("it does not wait")
	}
	s.From(file).GiveUp(xds.RouteType, "other")
	if ls.get("l") != nil {
		t.Fatal("another route was given up")
	}
	s.From(file).Late(xds.RouteType, "r")
	if ls.get("l") == nil {
		t.Error("it waits for ever")
	}
	late := func() (n uint64) {
		for _, v := range s.o.Counters.List() {
			if v.Name.Name == "init_fetch_timeout" {
				n += v.Value
			}
		}
		return n
	}
	if late() != 1 {
		t.Errorf("%d were late", late())
	}
	h.RouteSpecifier = &hcmv3.HttpConnectionManager_Rds{Rds: &hcmv3.Rds{RouteConfigName: "q", ConfigSource: c}}
	s.Apply(update(t, "1", &listenerv3.Listener{Name: "m", FilterChains: []*listenerv3.FilterChain{{Filters: []*listenerv3.Filter{{ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: pack(t, h)}}}}}}))
	s.From(file).Apply(update(t, "1", routes("q", "c")))
	s.From(file).Late(xds.RouteType, "q")
	if late() != 1 {
		t.Error("late, and it has come")
	}
}

func fromServer(within time.Duration) (*corev3.ConfigSource, origin.Source) {
	return &corev3.ConfigSource{InitialFetchTimeout: durationpb.New(within), ConfigSourceSpecifier: &corev3.ConfigSource_ApiConfigSource{ApiConfigSource: &corev3.ApiConfigSource{
		ApiType:      corev3.ApiConfigSource_GRPC,
		GrpcServices: []*corev3.GrpcService{{TargetSpecifier: &corev3.GrpcService_EnvoyGrpc_{EnvoyGrpc: &corev3.GrpcService_EnvoyGrpc{ClusterName: "cp"}}}},
	}}}, origin.Source{Cluster: "cp", Within: within}
}

// TestFetchTimeout: what comes from a server is waited for as long as its source says, and
// not for as long as what comes over ADS.
func TestFetchTimeout(t *testing.T) {
	s, ls := store(t, "", time.Nanosecond)
	if err := s.Static(&bootstrapv3.Bootstrap{StaticResources: &bootstrapv3.Bootstrap_StaticResources{Clusters: []*clusterv3.Cluster{static("cp")}},
		DynamicResources: &bootstrapv3.Bootstrap_DynamicResources{LdsConfig: &corev3.ConfigSource{ConfigSourceSpecifier: &corev3.ConfigSource_Ads{}}}}); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		within time.Duration
		waits  bool
	}{"long": {time.Hour, true}, "for ever": {0, true}, "hardly": {time.Nanosecond, false}} {
		source, server := fromServer(c.within)
		h := &hcmv3.HttpConnectionManager{RouteSpecifier: &hcmv3.HttpConnectionManager_Rds{Rds: &hcmv3.Rds{RouteConfigName: "r", ConfigSource: source}}}
		l := &listenerv3.Listener{Name: name, FilterChains: []*listenerv3.FilterChain{{Filters: []*listenerv3.Filter{{ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: pack(t, h)}}}}}}
		if r := s.Apply(update(t, "1", l)); len(r) > 0 {
			t.Fatal(r)
		}
		s.Recheck()
		if waits := ls.get(name) == nil; waits != c.waits {
			t.Errorf("%s: waits %t", name, waits)
		}
		s.From(server).Apply(update(t, "1", routes("r", "c")))
		if ls.get(name) == nil {
			t.Errorf("%s: the routes have come", name)
		}
	}
}

// TestUnreachable: a source's server is a cluster of the bootstrap, whose endpoints do not
// come from a server.
func TestUnreachable(t *testing.T) {
	s, _ := store(t, "", time.Hour)
	source, _ := fromServer(0)
	s.o.Cluster = func(m *clusterv3.Cluster) (*upstream.Cluster, error) {
		return upstream.Compile(m, upstream.Options{Secrets: s})
	}
	s.Apply(update(t, "1", static("cp"))) // over ADS
	h := &hcmv3.HttpConnectionManager{RouteSpecifier: &hcmv3.HttpConnectionManager_Rds{Rds: &hcmv3.Rds{RouteConfigName: "r", ConfigSource: source}}}
	up := eds("up")
	up.EdsClusterConfig = &clusterv3.Cluster_EdsClusterConfig{EdsConfig: source}
	secure := static("secure")
	secure.TransportSocket = &corev3.TransportSocket{ConfigType: &corev3.TransportSocket_TypedConfig{TypedConfig: pack(t, &tlsv3.UpstreamTlsContext{
		CommonTlsContext: &tlsv3.CommonTlsContext{TlsCertificateSdsSecretConfigs: []*tlsv3.SdsSecretConfig{{Name: "s", SdsConfig: source}}}})}}
	for _, m := range []proto.Message{up, secure,
		&listenerv3.Listener{Name: "l", FilterChains: []*listenerv3.FilterChain{{Filters: []*listenerv3.Filter{{ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: pack(t, h)}}}}}}} {
		u := update(t, "1", m)
		if r := s.Apply(u); !strings.HasPrefix(r[u.Resources[0].Name], "api_config_source.grpc_services[0].envoy_grpc.cluster_name: ") {
			t.Errorf("%s: %v", u.Resources[0].Name, r)
		}
	}
	if f := s.Feeds(); len(f) > 0 {
		t.Errorf("feeds: %v", f)
	}
}
