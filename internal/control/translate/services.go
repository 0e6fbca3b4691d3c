package translate

import (
	"net/netip"
	"sort"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	"github.com/usher-mesh/usher/internal/mesh"
)

// serviceObject is a Service on its way into the model.
type serviceObject struct {
	*corev1.Service
	ref       mesh.Ref
	hostname  string
	workloads []*entry // that its selector selects
	slices    []*discoveryv1.EndpointSlice
}

func (p *pass) readServices() {
	slices := map[string][]*discoveryv1.EndpointSlice{}
	for _, s := range p.in.EndpointSlices {
		k := s.Namespace + "/" + s.Labels[discoveryv1.LabelServiceName]
		slices[k] = append(slices[k], s)
	}
	hosts := make([]string, 0, len(p.in.Services))
	for _, s := range p.in.Services {
		if s.Spec.Type == corev1.ServiceTypeExternalName {
			continue
		}
		o := &serviceObject{Service: s, ref: refOf("", "Service", s), hostname: hostname(s.Name, s.Namespace)}
		o.slices = slices[s.Namespace+"/"+s.Name]
		p.objects = append(p.objects, o)
		hosts = append(hosts, o.hostname)
	}
	p.readNames(hosts)
}

// buildServices makes the model's services from what the processors before it
// read.
func (p *pass) buildServices() {
	for _, o := range p.objects {
		rules := p.rulesFor(o)
		deps := []any{o.Service}
		for _, r := range rules {
			deps = append(deps, r)
		}
		def := p.definitions.Get(o.ref, deps, func() *mesh.Definition { return define(o, rules) })
		deps = []any{def}
		for _, e := range o.workloads {
			deps = append(deps, e.workload)
		}
		for _, s := range o.slices {
			deps = append(deps, s)
		}
		p.out.Services = append(p.out.Services, p.services.Get(o.ref, deps, func() *mesh.Service {
			return populate(def, o)
		}))
	}
	sort.Slice(p.out.Services, func(i, j int) bool { return p.out.Services[i].Hostname < p.out.Services[j].Hostname })
}

func define(o *serviceObject, rules []*destinationRule) *mesh.Definition {
	d := &mesh.Definition{
		Ref: o.ref, Namespace: o.Namespace, Name: o.Name, Hostname: o.hostname, Short: true,
		Origins: []mesh.Ref{o.ref},
	}
	for _, sp := range streamPorts(o.Service) {
		d.Ports = append(d.Ports, mesh.ServicePort{
			Name: sp.Name, Protocol: protocol(sp.Name, sp.AppProtocol), Port: uint16(sp.Port),
		})
	}
	applyRules(d, rules)
	return d
}

// populate finds the endpoints of every port.
func populate(d *mesh.Definition, o *serviceObject) *mesh.Service {
	s := &mesh.Service{Definition: d, Endpoints: make([][]mesh.Endpoint, len(d.Ports))}
	accounts := map[string]bool{}
	for i, port := range d.Ports {
		var list []mesh.Endpoint
		for _, e := range o.workloads {
			w := e.workload
			number, ok := workloadPort(w.Ports, o.Service, port.Name, port.Port)
			if !ok || !w.Address.IsValid() {
				continue
			}
			mtls := w.Sidecar && w.Security.Mode(number) != mesh.Disable
			if mtls {
				accounts[w.ServiceAccount] = true
			}
			list = append(list, mesh.Endpoint{
				Address: netip.AddrPortFrom(w.Address, number), Workload: w.Ref, Labels: w.Labels,
				Weight: w.Weight, MTLS: mtls,
			})
		}
		list = append(list, sliceEndpoints(o.slices, port.Name)...)
		sort.SliceStable(list, func(a, b int) bool { return list[a].Address.Compare(list[b].Address) < 0 })
		s.Endpoints[i] = list
	}
	for a := range accounts {
		s.Accounts = append(s.Accounts, "spiffe://"+trustDomain+"/ns/"+d.Namespace+"/sa/"+a)
	}
	sort.Strings(s.Accounts)
	return s
}

// streamPorts are the ports of a service that the mesh carries.
func streamPorts(s *corev1.Service) []corev1.ServicePort {
	var out []corev1.ServicePort
	for _, sp := range s.Spec.Ports {
		if sp.Protocol != corev1.ProtocolUDP && sp.Protocol != corev1.ProtocolSCTP {
			out = append(out, sp)
		}
	}
	return out
}

// workloadPort finds the port of a workload, given its ports by name, behind a
// service's port: by the port's name, else by the target port.
func workloadPort(ports map[string]uint16, s *corev1.Service, name string, port uint16) (uint16, bool) {
	if n, ok := ports[name]; ok {
		return n, true
	}
	for _, sp := range s.Spec.Ports {
		if sp.Name != name || uint16(sp.Port) != port {
			continue
		}
		if target := sp.TargetPort.StrVal; target != "" {
			n, ok := ports[target]
			return n, ok
		}
		if n := sp.TargetPort.IntVal; n > 0 && n <= 65535 {
			return uint16(n), true
		}
	}
	return port, port != 0
}

func sliceEndpoints(slices []*discoveryv1.EndpointSlice, portName string) []mesh.Endpoint {
	var out []mesh.Endpoint
	for _, s := range slices {
		if s.AddressType == discoveryv1.AddressTypeFQDN {
			continue
		}
		for _, sp := range s.Ports {
			if sp.Port == nil || *sp.Port <= 0 || *sp.Port > 65535 || sp.Name != nil && *sp.Name != portName || sp.Name == nil && portName != "" {
				continue
			}
			for _, e := range s.Endpoints {
				if e.Conditions.Ready != nil && !*e.Conditions.Ready {
					continue
				}
				for _, text := range e.Addresses {
					if a, err := netip.ParseAddr(text); err == nil {
						out = append(out, mesh.Endpoint{Address: netip.AddrPortFrom(a.Unmap(), uint16(*sp.Port))})
					}
				}
			}
		}
	}
	return out
}
