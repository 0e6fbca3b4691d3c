package bootstrap

import (
	"slices"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"

	"github.com/usher-mesh/usher/internal/proxy/bootstrap/sidecar"
	"github.com/usher-mesh/usher/internal/proxy/origin"
	"github.com/usher-mesh/usher/internal/proxy/strict"
)

// supported refuses what nothing in usher-proxy reads. Listeners, clusters and the
// overload manager are judged where they are compiled.
func supported(b *bootstrapv3.Bootstrap) error {
	if err := strict.Only(b, "node", "static_resources", "dynamic_resources", "admin", "layered_runtime", "cluster_manager", "overload_manager"); err != nil {
		return err
	}
	if err := node(b.GetNode()); err != nil {
		return strict.At("node", err)
	}
	if err := strict.Only(b.GetStaticResources(), "listeners", "clusters", "secrets"); err != nil {
		return strict.At("static_resources", err)
	}
	if err := dynamic(b.GetDynamicResources()); err != nil {
		return strict.At("dynamic_resources", err)
	}
	if err := adminOnly(b.GetAdmin()); err != nil {
		return strict.At("admin", err)
	}
	if err := layers(b.GetLayeredRuntime()); err != nil {
		return strict.At("layered_runtime", err)
	}
	if cm := b.GetClusterManager(); cm != nil {
		if err := strict.Only(cm, "upstream_bind_config"); err != nil {
			return strict.At("cluster_manager", err)
		}
		bind := cm.GetUpstreamBindConfig()
		if err := strict.Only(bind, "source_address"); err != nil {
			return strict.At("cluster_manager.upstream_bind_config", err)
		}
		if bind != nil {
			if _, err := ip(bind.GetSourceAddress()); err != nil {
				return strict.At("cluster_manager.upstream_bind_config.source_address", err)
			}
		}
	}
	if name, _ := ADS(b); name == sidecar.XDSCluster && XDS(b) == "" || name != "" && !slices.ContainsFunc(b.GetStaticResources().GetClusters(),
		func(c *clusterv3.Cluster) bool { return c.GetName() == name }) {
		return strict.Errorf("static_resources.clusters", "no cluster %q with an address, which dynamic_resources.ads_config names", name)
	}
	return nil
}

func node(n *corev3.Node) error {
	return strict.Only(n, "id", "cluster", "metadata", "locality", "user_agent_name", "user_agent_version", "user_agent_build_version")
}

// dynamic wants one ADS stream at most, and one source each of clusters and of listeners.
// Where the stream's cluster is xds-grpc, that is the mesh's control plane, to which the
// proxy shows its identity.
func dynamic(d *bootstrapv3.Bootstrap_DynamicResources) error {
	if err := strict.Only(d, "ads_config", "cds_config", "lds_config"); err != nil {
		return err
	}
	if a := d.GetAdsConfig(); a != nil {
		if _, _, err := origin.Server(a); err != nil {
			return strict.At("ads_config", err)
		}
	}
	for _, c := range []struct {
		name string
		c    *corev3.ConfigSource
	}{{"cds_config", d.GetCdsConfig()}, {"lds_config", d.GetLdsConfig()}} {
		if c.c == nil {
			continue
		}
		s, err := origin.Of(c.c)
		if err != nil {
			return strict.At(c.name, err)
		}
		if s == origin.ADS && d.GetAdsConfig() == nil {
			return strict.Errorf("ads_config", "missing, and %s is to come over ADS", c.name)
		}
	}
	return nil
}

func adminOnly(a *bootstrapv3.Admin) error {
	if a == nil {
		return nil
	}
	if err := strict.Only(a, "address", "allow_paths"); err != nil {
		return err
	}
	if _, err := adminAddress(a.GetAddress()); err != nil {
		return strict.At("address", err)
	}
	_, err := allows(a)
	return err
}

func layers(r *bootstrapv3.LayeredRuntime) error {
	for i, l := range r.GetLayers() {
		if err := strict.Only(l, "name", "static_layer"); err != nil {
			return strict.AtIndex("layers", i, err)
		}
		if l.GetName() == "" {
			return strict.AtIndex("layers", i, strict.Errorf("name", "empty"))
		}
		if slices.ContainsFunc(r.GetLayers()[:i], func(o *bootstrapv3.RuntimeLayer) bool { return o.GetName() == l.GetName() }) {
			return strict.AtIndex("layers", i, strict.Errorf("name", "%q is there already", l.GetName()))
		}
	}
	if _, err := limits(r); err != nil {
		return err
	}
	_, err := local(r)
	return err
}
