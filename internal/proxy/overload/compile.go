package overload

import (
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	overloadv3 "github.com/envoyproxy/go-control-plane/envoy/config/overload/v3"
	cgroupv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/resource_monitors/cgroup_memory/v3"
	connectionsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/resource_monitors/downstream_connections/v3"
	heapv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/resource_monitors/fixed_heap/v3"
	injectedv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/resource_monitors/injected_resource/v3"

	"github.com/usher-mesh/usher/internal/atomicfile"
	"github.com/usher-mesh/usher/internal/proxy/strict"
)

// Kinds of action, by Envoy's names.
const (
	stopRequests      = "envoy.overload_actions.stop_accepting_requests"
	noKeepAlive       = "envoy.overload_actions.disable_http_keepalive"
	stopConnections   = "envoy.overload_actions.stop_accepting_connections"
	rejectConnections = "envoy.overload_actions.reject_incoming_connections"
	shrinkHeap        = "envoy.overload_actions.shrink_heap"
)

// points are the load shed points that do what an action does.
var points = map[string]string{
	"envoy.load_shed_points.http_connection_manager_decode_headers": stopRequests,
	"envoy.load_shed_points.tcp_listener_accept":                    rejectConnections,
}

// Compile makes a manager of Envoy's message; nil: as Default says. An error names the
// field.
func Compile(c *overloadv3.OverloadManager, log *slog.Logger) (*Manager, error) {
	if c == nil {
		return Default(log)
	}
	if err := strict.Only(c, "refresh_interval", "resource_monitors", "actions", "loadshed_points"); err != nil {
		return nil, err
	}
	m := &Manager{interval: time.Second, log: log}
	m.state.Bound(descriptors())
	if d := c.GetRefreshInterval(); d != nil {
		if m.interval = d.AsDuration(); m.interval < time.Millisecond {
			return nil, strict.Errorf("refresh_interval", "less than 1 ms")
		}
	}
	seen := map[string]*resource{}
	for i, r := range c.GetResourceMonitors() {
		if err := m.monitor(r, seen); err != nil {
			return nil, strict.AtIndex("resource_monitors", i, err)
		}
	}
	named := map[string]bool{}
	for i, a := range c.GetActions() {
		if err := m.action(a, seen, named); err != nil {
			return nil, strict.AtIndex("actions", i, err)
		}
	}
	for i, p := range c.GetLoadshedPoints() {
		kind := points[p.GetName()]
		if kind == "" || named[p.GetName()] {
			return nil, strict.AtIndex("loadshed_points", i, strict.Errorf("name", "%q: twice, or %w", p.GetName(), strict.ErrUnsupported))
		}
		named[p.GetName()] = true
		if err := m.act(p.GetName(), kind, p.GetTriggers(), seen); err != nil {
			return nil, strict.AtIndex("loadshed_points", i, err)
		}
	}
	return m, nil
}

func (m *Manager) monitor(r *overloadv3.ResourceMonitor, seen map[string]*resource) error {
	if err := strict.Only(r, "name", "typed_config"); err != nil {
		return err
	}
	name, any := r.GetName(), r.GetTypedConfig()
	if _, twice := seen[name]; twice || name == "" {
		return strict.Errorf("name", "%q: empty, or named twice", name)
	}
	x := &resource{name: name}
	var err error
	switch {
	case any.MessageIs((*heapv3.FixedHeapConfig)(nil)):
		c := new(heapv3.FixedHeapConfig)
		if err = strict.Unpack(any, c); err == nil {
			err = strict.Only(c, "max_heap_size_bytes")
		}
		if err == nil && c.GetMaxHeapSizeBytes() == 0 {
			err = strict.Errorf("max_heap_size_bytes", "must be more than 0")
		}
		x.pressure = heapOf(c.GetMaxHeapSizeBytes())
	case any.MessageIs((*cgroupv3.CgroupMemoryConfig)(nil)):
		c := new(cgroupv3.CgroupMemoryConfig)
		var g *cgroup
		if err = strict.Unpack(any, c); err == nil {
			g, err = findCgroup("/sys/fs/cgroup", "/proc/self/cgroup")
		}
		x.pressure = func() (float64, error) { return g.pressure(c.GetMaxMemoryBytes()) }
	case any.MessageIs((*injectedv3.InjectedResourceConfig)(nil)):
		c := new(injectedv3.InjectedResourceConfig)
		if err = strict.Unpack(any, c); err == nil && c.GetFilename() == "" {
			err = strict.Errorf("filename", "empty")
		}
		x.pressure = func() (float64, error) { return injected(c.GetFilename()) }
	case any.MessageIs((*connectionsv3.DownstreamConnectionsConfig)(nil)):
		c := new(connectionsv3.DownstreamConnectionsConfig)
		if err = strict.Unpack(any, c); err == nil && c.GetMaxActiveDownstreamConnections() <= 0 {
			err = strict.Errorf("max_active_downstream_connections", "must be more than 0")
		}
		if err == nil {
			// It bounds by itself, and no trigger may name it.
			m.state.Bound(c.GetMaxActiveDownstreamConnections())
			seen[name] = nil
			return nil
		}
	default:
		err = strict.Unknown(any)
	}
	if err != nil {
		return strict.At("typed_config", err)
	}
	seen[name] = x
	m.resources = append(m.resources, x)
	return nil
}

// maxInjected bounds the file of an injected pressure, in bytes.
const maxInjected = 64

// injected reads a pressure that somebody has written into a file.
func injected(file string) (float64, error) {
	b, err := atomicfile.ReadLimited(file, maxInjected)
	if err != nil {
		return 0, err
	}
	v, err := strconv.ParseFloat(strings.TrimSpace(string(b)), 64)
	if err != nil || !(v >= 0 && v <= 1) {
		return 0, fmt.Errorf("%s: not a number from 0 to 1", file)
	}
	return v, nil
}

func (m *Manager) action(a *overloadv3.OverloadAction, seen map[string]*resource, named map[string]bool) error {
	if err := strict.Only(a, "name", "triggers", "typed_config"); err != nil {
		return err
	}
	name := a.GetName()
	switch name {
	case stopRequests, noKeepAlive, stopConnections, rejectConnections, shrinkHeap:
	default:
		return strict.Errorf("name", "%q: %w", name, strict.ErrUnsupported)
	}
	if named[name] {
		return strict.Errorf("name", "%q is named twice", name)
	}
	named[name] = true
	if name == shrinkHeap {
		m.shrink = shrink{every: 10 * time.Second, keep: 100 << 20}
	}
	if any := a.GetTypedConfig(); any != nil {
		c := new(overloadv3.ShrinkHeapConfig)
		if name != shrinkHeap {
			return strict.Errorf("typed_config", "%s has none", name)
		}
		if err := strict.Unpack(any, c); err != nil {
			return strict.At("typed_config", err)
		}
		if d := c.GetTimerInterval(); d != nil {
			if m.shrink.every = d.AsDuration(); m.shrink.every < time.Second {
				return strict.Errorf("typed_config.timer_interval", "less than 1 s")
			}
		}
		if n := c.GetMaxUnfreedMemoryBytes(); n != nil {
			m.shrink.keep = n.GetValue()
		}
	}
	return m.act(name, name, a.GetTriggers(), seen)
}

func (m *Manager) act(name, kind string, triggers []*overloadv3.Trigger, seen map[string]*resource) error {
	a := &action{name: name, kind: kind}
	if len(triggers) == 0 {
		return strict.Errorf("triggers", "empty")
	}
	by := map[string]bool{}
	for i, t := range triggers {
		r := seen[t.GetName()]
		if r == nil || by[t.GetName()] {
			return strict.AtIndex("triggers", i, strict.Errorf("name", "%q: no resource that triggers, or named twice", t.GetName()))
		}
		by[t.GetName()] = true
		x := trigger{of: r}
		switch o := t.GetTriggerOneof().(type) {
		case *overloadv3.Trigger_Threshold:
			v := o.Threshold.GetValue()
			if !(v >= 0 && v <= 1) {
				return strict.AtIndex("triggers", i, strict.Errorf("threshold.value", "not from 0 to 1"))
			}
			x.from, x.to = v, v
		case *overloadv3.Trigger_Scaled:
			x.from, x.to = o.Scaled.GetScalingThreshold(), o.Scaled.GetSaturationThreshold()
			if !(x.from >= 0 && x.from < x.to && x.to <= 1) {
				return strict.AtIndex("triggers", i, strict.Errorf("scaled", "scaling_threshold must be less than saturation_threshold, both from 0 to 1"))
			}
		default:
			return strict.AtIndex("triggers", i, strict.Errorf("trigger_oneof", "missing"))
		}
		a.triggers = append(a.triggers, x)
	}
	m.actions = append(m.actions, a)
	return nil
}
