package translate

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// reportOthers gives a status to what has no effect: kinds that are for later
// versions, and objects that could not be decoded.
func (p *pass) reportOthers() {
	none := func(kind string, o metav1.Object) {
		p.found.report(refOf(networking, kind, o), o, &verdict{noEffect: true})
	}
	for _, o := range p.in.ServiceEntries {
		none("ServiceEntry", o)
	}
	for _, o := range p.in.WorkloadGroups {
		none("WorkloadGroup", o)
	}
	for _, o := range p.in.Sidecars {
		none("Sidecar", o)
	}
	for _, u := range p.in.Undecodable {
		var v verdict
		v.refuse(reasonInvalid, "the object cannot be decoded: %v", u.Err)
		p.found.report(refOf(u.GroupVersionKind().Group, u.GetKind(), u), u, &v)
	}
}
