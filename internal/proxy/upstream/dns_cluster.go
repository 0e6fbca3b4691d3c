package upstream

//lint:file-ignore SA1019 Envoy still reads the fields that it has deprecated, and control planes send them.

import (
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	dnsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/clusters/dns/v3"
	"google.golang.org/protobuf/proto"

	"github.com/usher-mesh/usher/internal/proxy/strict"
)

// dnsForm is how a cluster says that its endpoints are names: by its type and fields of its
// own, or by an extension.
type dnsForm struct {
	at    string        // where its fields are; "": in the cluster
	least time.Duration // dns_min_refresh_rate
}

// asNames turns envoy.clusters.dns into the types that it stands for; other clusters stay.
func asNames(m *clusterv3.Cluster) (*clusterv3.Cluster, dnsForm, error) {
	var f dnsForm
	d := new(dnsv3.DnsCluster)
	t := m.GetClusterType()
	if !t.GetTypedConfig().MessageIs(d) {
		return m, f, nil
	}
	f.at = "cluster_type.typed_config"
	if err := strict.Unpack(t.GetTypedConfig(), d); err != nil {
		return nil, f, strict.At(f.at, err)
	}
	if err := strict.Only(d, "dns_refresh_rate", "dns_failure_refresh_rate", "respect_dns_ttl", "dns_jitter", "typed_dns_resolver_config",
		"dns_lookup_family", "all_addresses_in_single_endpoint", "dns_min_refresh_rate"); err != nil {
		return nil, f, strict.At(f.at, err)
	}
	for name, set := range map[string]bool{"dns_refresh_rate": m.GetDnsRefreshRate() != nil, "dns_failure_refresh_rate": m.GetDnsFailureRefreshRate() != nil,
		"respect_dns_ttl": m.GetRespectDnsTtl(), "dns_jitter": m.GetDnsJitter() != nil, "typed_dns_resolver_config": m.GetTypedDnsResolverConfig() != nil,
		"dns_lookup_family": m.GetDnsLookupFamily() != 0} {
		if set {
			return nil, f, strict.Errorf(name, "beside cluster_type, which has its own: %w", strict.ErrUnsupported)
		}
	}
	if least := d.GetDnsMinRefreshRate(); least != nil {
		if f.least = least.AsDuration(); least.CheckValid() != nil || f.least < time.Second {
			return nil, f, strict.At(f.at, strict.Errorf("dns_min_refresh_rate", "must be at least 1s"))
		}
	}
	kind := clusterv3.Cluster_STRICT_DNS
	if d.GetAllAddressesInSingleEndpoint() {
		kind = clusterv3.Cluster_LOGICAL_DNS
	}
	m = proto.CloneOf(m)
	m.ClusterDiscoveryType = &clusterv3.Cluster_Type{Type: kind}
	m.DnsRefreshRate, m.DnsJitter, m.RespectDnsTtl, m.TypedDnsResolverConfig = d.GetDnsRefreshRate(), d.GetDnsJitter(), d.GetRespectDnsTtl(), d.GetTypedDnsResolverConfig()
	if r := d.GetDnsFailureRefreshRate(); r != nil {
		m.DnsFailureRefreshRate = &clusterv3.Cluster_RefreshRate{BaseInterval: r.GetBaseInterval(), MaxInterval: r.GetMaxInterval()}
	}
	family, known := clusterv3.Cluster_DnsLookupFamily_value[d.GetDnsLookupFamily().String()]
	if !known && d.GetDnsLookupFamily() != 0 {
		return nil, f, strict.At(f.at, strict.Errorf("dns_lookup_family", "%d: %w", d.GetDnsLookupFamily(), strict.ErrUnsupported))
	}
	m.DnsLookupFamily = clusterv3.Cluster_DnsLookupFamily(family)
	return m, f, nil
}
