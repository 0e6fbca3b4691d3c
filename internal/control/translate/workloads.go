package translate

import (
	"net/netip"
	"sort"

	networkingv1 "istio.io/client-go/pkg/apis/networking/v1"

	"github.com/usher-mesh/usher/internal/mesh"
)

const (
	tlsModeLabel  = "security.istio.io/tlsMode"
	tlsModeIstio  = "istio"
	defaultNoName = "default"
)

// entry is a WorkloadEntry on its way into the model.
type entry struct {
	*networkingv1.WorkloadEntry
	ref      mesh.Ref
	labels   map[string]string // of the object and of its spec
	workload *mesh.Workload    // once secured
}

var usedEntry = set("address", "ports", "labels", "weight", "serviceAccount")

func (p *pass) readWorkloads() {
	p.entries = map[string][]*entry{}
	index := map[string][]*entry{} // by namespace and each label
	for _, we := range p.in.WorkloadEntries {
		e := &entry{WorkloadEntry: we, ref: refOf(networking, "WorkloadEntry", we), labels: labelsOf(we)}
		p.entries[we.Namespace] = append(p.entries[we.Namespace], e)
		for k, v := range e.labels {
			key := we.Namespace + "\x00" + k + "\x00" + v
			index[key] = append(index[key], e)
		}
		var v verdict
		if _, err := netip.ParseAddr(we.Spec.Address); err != nil {
			v.warn("spec.address: only an IP address has effect yet")
		}
		for _, f := range ignored(&we.Spec, usedEntry) {
			v.warn("spec.%s has no effect yet", f)
		}
		p.found.report(e.ref, we, &v)
	}
	p.selectedBy = map[mesh.Ref][]*serviceObject{}
	for _, o := range p.objects {
		if len(o.Spec.Selector) == 0 {
			continue
		}
		keys := make([]string, 0, len(o.Spec.Selector))
		for k := range o.Spec.Selector {
			keys = append(keys, k)
		}
		sort.Strings(keys)
		for _, e := range index[o.Namespace+"\x00"+keys[0]+"\x00"+o.Spec.Selector[keys[0]]] {
			if mesh.Selects(o.Spec.Selector, e.labels) {
				o.workloads = append(o.workloads, e)
				p.selectedBy[e.ref] = append(p.selectedBy[e.ref], o)
			}
		}
	}
}

// labelsOf joins the labels of the object and of its spec; those of the object,
// which kubectl changes, win.
func labelsOf(we *networkingv1.WorkloadEntry) map[string]string {
	if len(we.Spec.Labels) == 0 {
		return we.Labels
	}
	m := make(map[string]string, len(we.Labels)+len(we.Spec.Labels))
	for k, v := range we.Spec.Labels {
		m[k] = v
	}
	for k, v := range we.Labels {
		m[k] = v
	}
	return m
}

// secureWorkloads makes the model's workloads, each with what guards it.
func (p *pass) secureWorkloads() {
	for _, ns := range sortedKeys(p.entries) {
		for _, e := range p.entries[ns] {
			sec := p.secure(e)
			e.workload = p.workloads.Get(e.ref, []any{e.WorkloadEntry, sec}, func() *mesh.Workload {
				return translateWorkload(e, sec)
			})
			p.out.Workloads = append(p.out.Workloads, e.workload)
		}
	}
	p.reportLosers()
}

func translateWorkload(e *entry, sec *mesh.Security) *mesh.Workload {
	w := &mesh.Workload{
		Ref: e.ref, Namespace: e.Namespace, Name: e.Name, Labels: e.labels,
		ServiceAccount: e.Spec.ServiceAccount, Weight: e.Spec.Weight, Security: sec,
		Sidecar: e.labels[tlsModeLabel] == tlsModeIstio,
		Ports:   e.inbound(),
	}
	if w.ServiceAccount == "" {
		w.ServiceAccount = defaultNoName
	}
	if a, err := netip.ParseAddr(e.Spec.Address); err == nil {
		w.Address = a.Unmap()
	}
	return w
}

// inbound gives the workload's ports by name.
func (e *entry) inbound() map[string]uint16 {
	out := map[string]uint16{}
	for name, n := range e.Spec.Ports {
		if n > 0 && n <= 65535 {
			out[name] = uint16(n)
		}
	}
	return out
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}
