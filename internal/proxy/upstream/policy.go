package upstream

//lint:file-ignore SA1019 Envoy still reads the fields that it has deprecated, and control planes send them.

import (
	"math"
	"math/big"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	commonv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/load_balancing_policies/common/v3"
	leastv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/load_balancing_policies/least_request/v3"
	maglevv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/load_balancing_policies/maglev/v3"
	randomv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/load_balancing_policies/random/v3"
	ringv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/load_balancing_policies/ring_hash/v3"
	roundv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/load_balancing_policies/round_robin/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/usher-mesh/usher/internal/proxy/strict"
	"github.com/usher-mesh/usher/internal/proxy/upstream/lb"
)

// balancing reads how the cluster shares its load: load_balancing_policy, else
// lb_policy with its configuration.
func (c *Cluster) balancing(m *clusterv3.Cluster) error {
	c.balance = balance{policy: lb.RoundRobin{}, panic: lb.DefaultPanic}
	if err := c.balance.common(m.GetCommonLbConfig(), m.GetLoadBalancingPolicy() != nil); err != nil {
		return strict.At("common_lb_config", err)
	}
	var err error
	if c.merge.window, err = notNegative("update_merge_window", m.GetCommonLbConfig().GetUpdateMergeWindow(), defaultMergeWindow); err != nil {
		return strict.At("common_lb_config", err)
	}
	c.ignoresNew = m.GetCommonLbConfig().GetIgnoreNewHostsUntilFirstHc()
	if p := m.GetLoadBalancingPolicy(); p != nil {
		return strict.At("load_balancing_policy", c.balance.typed(p))
	}
	switch m.GetLbPolicy() {
	case clusterv3.Cluster_ROUND_ROBIN:
		return strict.At("round_robin_lb_config", strict.Only(m.GetRoundRobinLbConfig()))
	case clusterv3.Cluster_LEAST_REQUEST:
		l := m.GetLeastRequestLbConfig()
		if err := strict.Only(l, "choice_count", "active_request_bias"); err != nil {
			return strict.At("least_request_lb_config", err)
		}
		return strict.At("least_request_lb_config", c.balance.leastRequest(l.GetChoiceCount(), l.GetActiveRequestBias(), false))
	case clusterv3.Cluster_RANDOM:
		c.balance.policy = lb.Random{}
		return nil
	case clusterv3.Cluster_RING_HASH:
		r := m.GetRingHashLbConfig()
		if err := strict.Only(r, "minimum_ring_size", "maximum_ring_size", "hash_function"); err != nil {
			return strict.At("ring_hash_lb_config", err)
		}
		murmur := r.GetHashFunction() == clusterv3.Cluster_RingHashLbConfig_MURMUR_HASH_2
		return strict.At("ring_hash_lb_config", c.balance.ring(r.GetMinimumRingSize(), r.GetMaximumRingSize(), murmur))
	case clusterv3.Cluster_MAGLEV:
		return strict.At("maglev_lb_config", c.balance.maglev(m.GetMaglevLbConfig().GetTableSize()))
	case clusterv3.Cluster_CLUSTER_PROVIDED:
		return nil
	}
	return strict.Errorf("lb_policy", "%s: %w", m.GetLbPolicy(), strict.ErrUnsupported)
}

// provided holds that a cluster that chooses among its hosts itself says so, and no other.
func provided(m *clusterv3.Cluster) error {
	itself := m.GetClusterType() != nil || m.GetType() == clusterv3.Cluster_ORIGINAL_DST
	says := m.GetLoadBalancingPolicy() == nil && m.GetLbPolicy() == clusterv3.Cluster_CLUSTER_PROVIDED
	if itself != says {
		return strict.Errorf("lb_policy", "CLUSTER_PROVIDED goes with ORIGINAL_DST and dynamic_forward_proxy, and these with nothing else")
	}
	return nil
}

// common reads common_lb_config, part of which does not go with load_balancing_policy.
func (b *balance) common(m *clusterv3.Cluster_CommonLbConfig, typed bool) (err error) {
	names := []string{"healthy_panic_threshold", "close_connections_on_host_set_change", "update_merge_window", "ignore_new_hosts_until_first_hc"}
	if !typed {
		names = append(names, "zone_aware_lb_config", "locality_weighted_lb_config", "consistent_hashing_lb_config")
	}
	if err := strict.Only(m, names...); err != nil {
		return err
	}
	if b.panic, err = percent(m.GetHealthyPanicThreshold(), b.panic); err != nil {
		return strict.At("healthy_panic_threshold", err)
	}
	b.closeOnSet = m.GetCloseConnectionsOnHostSetChange()
	b.byLocality = m.GetLocalityWeightedLbConfig() != nil
	if err := strict.Only(m.GetConsistentHashingLbConfig(), "use_hostname_for_hashing"); err != nil {
		return strict.At("consistent_hashing_lb_config", err)
	}
	b.byHostname = m.GetConsistentHashingLbConfig().GetUseHostnameForHashing()
	// Zones are looked at only if the bootstrap names a local cluster, which none can.
	b.failOnPanic = m.GetZoneAwareLbConfig().GetFailTrafficOnPanic()
	return nil
}

// percent reads a percentage as Envoy does, which rounds it.
func percent(p *typev3.Percent, otherwise uint32) (uint32, error) {
	if p == nil {
		return otherwise, nil
	}
	if v := p.GetValue(); !(v >= 0 && v <= 100) {
		return 0, strict.Errorf("value", "must be from 0 to 100")
	}
	return uint32(math.Round(p.GetValue())), nil
}

// typed takes the first policy of a list that is known, as Envoy does.
func (b *balance) typed(m *clusterv3.LoadBalancingPolicy) error {
	if err := strict.Only(m, "policies"); err != nil {
		return err
	}
	for i, p := range m.GetPolicies() {
		known, err := b.extension(p.GetTypedExtensionConfig())
		if err != nil {
			return strict.AtIndex("policies", i, strict.At("typed_extension_config.typed_config", err))
		}
		if known {
			return nil
		}
	}
	return strict.Errorf("policies", "none is supported: %w", strict.ErrUnsupported)
}

func (b *balance) extension(e *corev3.TypedExtensionConfig) (known bool, err error) {
	a := e.GetTypedConfig()
	unpack := func(m proto.Message, fields ...string) error {
		if err := strict.Unpack(a, m); err != nil {
			return err
		}
		return strict.Only(m, fields...)
	}
	switch a.MessageName() {
	case "envoy.extensions.load_balancing_policies.round_robin.v3.RoundRobin":
		m := new(roundv3.RoundRobin)
		if err = unpack(m, "locality_lb_config"); err == nil {
			err = b.locality(m.GetLocalityLbConfig())
		}
	case "envoy.extensions.load_balancing_policies.random.v3.Random":
		m := new(randomv3.Random)
		b.policy = lb.Random{}
		if err = unpack(m, "locality_lb_config"); err == nil {
			err = b.locality(m.GetLocalityLbConfig())
		}
	case "envoy.extensions.load_balancing_policies.least_request.v3.LeastRequest":
		m := new(leastv3.LeastRequest)
		if err = unpack(m, "choice_count", "active_request_bias", "locality_lb_config", "selection_method"); err == nil {
			err = b.locality(m.GetLocalityLbConfig())
		}
		if err == nil {
			err = b.leastRequest(m.GetChoiceCount(), m.GetActiveRequestBias(), m.GetSelectionMethod() == leastv3.LeastRequest_FULL_SCAN)
		}
	case "envoy.extensions.load_balancing_policies.ring_hash.v3.RingHash":
		m := new(ringv3.RingHash)
		if err = unpack(m, "minimum_ring_size", "maximum_ring_size", "hash_function", "use_hostname_for_hashing",
			"consistent_hashing_lb_config", "locality_weighted_lb_config"); err == nil {
			err = b.consistent(m.GetConsistentHashingLbConfig(), m.GetUseHostnameForHashing())
		}
		b.byLocality = m.GetLocalityWeightedLbConfig() != nil
		if err == nil {
			err = b.ring(m.GetMinimumRingSize(), m.GetMaximumRingSize(), m.GetHashFunction() == ringv3.RingHash_MURMUR_HASH_2)
		}
	case "envoy.extensions.load_balancing_policies.maglev.v3.Maglev":
		m := new(maglevv3.Maglev)
		if err = unpack(m, "table_size", "consistent_hashing_lb_config", "locality_weighted_lb_config"); err == nil {
			err = b.consistent(m.GetConsistentHashingLbConfig(), false)
		}
		b.byLocality = m.GetLocalityWeightedLbConfig() != nil
		if err == nil {
			err = b.maglev(m.GetTableSize())
		}
	default:
		return false, nil
	}
	return true, err
}

func (b *balance) locality(m *commonv3.LocalityLbConfig) error {
	b.byLocality = m.GetLocalityWeightedLbConfig() != nil
	z := m.GetZoneAwareLbConfig()
	b.failOnPanic = z.GetFailTrafficOnPanic()
	return strict.At("locality_lb_config.zone_aware_lb_config", strict.Only(z, "routing_enabled", "min_cluster_size", "fail_traffic_on_panic"))
}

func (b *balance) consistent(m *commonv3.ConsistentHashingLbConfig, byHostname bool) error {
	if err := strict.Only(m, "use_hostname_for_hashing"); err != nil {
		return strict.At("consistent_hashing_lb_config", err)
	}
	if b.byHostname = byHostname; m != nil {
		b.byHostname = m.GetUseHostnameForHashing()
	}
	return nil
}

func (b *balance) leastRequest(choices *wrapperspb.UInt32Value, bias *corev3.RuntimeDouble, all bool) error {
	p := lb.LeastRequest{Choices: 2, Bias: 1, All: all}
	if choices != nil {
		// More than a hundred choices are as good as all.
		if p.Choices = int(min(choices.GetValue(), 128)); p.Choices < 2 {
			return strict.Errorf("choice_count", "must be at least 2")
		}
	}
	if bias != nil { // of a runtime that has no other value
		if p.Bias = bias.GetDefaultValue(); !(p.Bias >= 0) || math.IsInf(p.Bias, 1) {
			return strict.Errorf("active_request_bias.default_value", "must not be negative")
		}
	}
	b.policy = p
	return nil
}

func (b *balance) ring(least, most *wrapperspb.UInt64Value, murmur bool) error {
	p := lb.Ring{Min: 1024, Max: lb.MaxRing, Murmur: murmur}
	for _, f := range []struct {
		name string
		v    *wrapperspb.UInt64Value
		to   *uint64
	}{{"minimum_ring_size", least, &p.Min}, {"maximum_ring_size", most, &p.Max}} {
		if f.v == nil {
			continue
		}
		if *f.to = f.v.GetValue(); *f.to < 1 || *f.to > lb.MaxRing {
			return strict.Errorf(f.name, "must be from 1 to %d", lb.MaxRing)
		}
	}
	if p.Min > p.Max {
		return strict.Errorf("minimum_ring_size", "above maximum_ring_size")
	}
	b.policy = p
	return nil
}

func (b *balance) maglev(size *wrapperspb.UInt64Value) error {
	p := lb.Maglev{Size: lb.DefaultTable}
	if size != nil {
		if p.Size = size.GetValue(); p.Size > lb.MaxTable || !new(big.Int).SetUint64(p.Size).ProbablyPrime(0) {
			return strict.Errorf("table_size", "must be a prime up to %d", lb.MaxTable)
		}
	}
	b.policy = p
	return nil
}
