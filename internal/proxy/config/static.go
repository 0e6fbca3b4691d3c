package config

import (
	"fmt"
	"maps"
	"slices"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/usher-mesh/usher/internal/proxy/bootstrap/sidecar"
	"github.com/usher-mesh/usher/internal/proxy/origin"
	"github.com/usher-mesh/usher/internal/proxy/strict"
	"github.com/usher-mesh/usher/internal/proxy/xds"
)

// Static puts the bootstrap's own clusters and listeners in force. Unlike those
// that come later, a bad one is an error, which names the field. The cluster of
// the control plane is the xds client's and is not compiled.
func (s *Store) Static(b *bootstrapv3.Bootstrap) error {
	s.mu.Lock()
	defer s.changed()
	defer s.mu.Unlock()
	for _, c := range b.GetStaticResources().GetClusters() {
		if c.GetType() != clusterv3.Cluster_EDS && c.GetName() != sidecar.XDSCluster {
			s.servers.add(c.GetName())
		}
	}
	if err := s.dynamic(b.GetDynamicResources()); err != nil {
		return err
	}
	for i, m := range b.GetStaticResources().GetSecrets() {
		if err := s.putStatic(m); err != nil {
			return strict.AtIndex("static_resources.secrets", i, err)
		}
	}
	s.publish()
	for i, c := range b.GetStaticResources().GetClusters() {
		if c.GetName() == sidecar.XDSCluster {
			continue
		}
		at := fmt.Sprintf("static_resources.clusters[%d]", i)
		r, err := resource(c.GetName(), c)
		switch {
		case err != nil:
		case s.clusters[c.GetName()] != nil:
			err = strict.Errorf("name", "%q is there already", c.GetName())
		default:
			err = s.putCluster(r, true)
		}
		if err != nil {
			return strict.At(at, err)
		}
	}
	s.publish() // a filter may fetch keys from them as soon as it is made
	for i, l := range b.GetStaticResources().GetListeners() {
		if l.GetName() == "" {
			l = proto.CloneOf(l)
			l.Name = fmt.Sprintf("static_%d", i)
		}
		at := fmt.Sprintf("static_resources.listeners[%d]", i)
		r, err := resource(l.GetName(), l)
		switch {
		case err != nil:
		case s.listeners[l.GetName()] != nil:
			err = strict.Errorf("name", "%q is there already", l.GetName())
		default:
			if err = s.putListener(r); err == nil {
				err = s.fits(l, b.GetStaticResources().GetListeners()[:i])
			}
		}
		if err != nil {
			return strict.At(at, err)
		}
		s.listeners[l.GetName()].static = true
	}
	for name, why := range s.settle() {
		return fmt.Errorf("listener %q: %s", name, why)
	}
	return nil
}

// fits tells whether a listener's routes lead to clusters that are there, and whether its
// address is its own.
func (s *Store) fits(l *listenerv3.Listener, others []*listenerv3.Listener) error {
	for _, o := range others {
		if a := l.GetAddress().GetSocketAddress(); a.GetPortValue() != 0 && proto.Equal(a, o.GetAddress().GetSocketAddress()) {
			return strict.Errorf("address", "that of the listener %q, too", o.GetName())
		}
	}
	named := newRefs()
	for _, c := range chains(l) {
		for _, f := range c.GetFilters() {
			if m := manager(f).GetRouteConfig(); m != nil && (m.GetValidateClusters() == nil || m.GetValidateClusters().GetValue()) {
				named.route(m)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(named.clusters)) {
		if s.clusters[name] == nil && name != sidecar.XDSCluster {
			return fmt.Errorf("its routes lead to the cluster %q, which is not there", name)
		}
	}
	return nil
}

// dynamic notes where clusters and listeners come from besides. A file must be there.
func (s *Store) dynamic(d *bootstrapv3.Bootstrap_DynamicResources) error {
	for _, c := range []struct {
		name, typeURL string
		c             *corev3.ConfigSource
	}{{"cds_config", xds.ClusterType, d.GetCdsConfig()}, {"lds_config", xds.ListenerType, d.GetLdsConfig()}} {
		if c.c == nil {
			delete(s.lists, c.typeURL)
			s.seen.add(c.typeURL) // nobody else will tell
			continue
		}
		source, err := origin.Open(c.c)
		if err == nil {
			err = s.reachable(source)
		}
		if err != nil {
			return strict.At("dynamic_resources."+c.name, err)
		}
		s.lists[c.typeURL] = source
	}
	return nil
}

func resource(name string, m proto.Message) (xds.Resource, error) {
	a, err := anypb.New(m)
	return xds.Resource{Name: name, Body: a}, err
}
