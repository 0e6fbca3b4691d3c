package admission

import (
	"strings"

	networking "istio.io/api/networking/v1alpha3"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func sidecar(s subject[networking.Sidecar]) field.ErrorList {
	errs := labels(s.at.Child("workloadSelector", "labels"), s.spec.GetWorkloadSelector().GetLabels())
	if len(s.spec.GetIngress())+len(s.spec.GetEgress()) == 0 && s.spec.GetOutboundTrafficPolicy() == nil &&
		s.spec.GetInboundConnectionPool() == nil {
		errs = append(errs, field.Required(s.at, "ingress, egress, outboundTrafficPolicy or inboundConnectionPool"))
	}
	ports := map[uint32]bool{}
	for i, in := range s.spec.GetIngress() {
		at := s.at.Child("ingress").Index(i)
		n := in.GetPort().GetNumber()
		errs = append(errs, port(at.Child("port", "number"), n)...)
		errs = append(errs, protocol(at.Child("port", "protocol"), in.GetPort().GetProtocol())...)
		if ports[n] {
			errs = append(errs, field.Duplicate(at.Child("port", "number"), n))
		}
		ports[n] = true
		if b := in.GetBind(); b != "" && !isAddress(b) {
			errs = append(errs, field.Invalid(at.Child("bind"), b, "must be an IP address"))
		}
	}
	for i, out := range s.spec.GetEgress() {
		at := s.at.Child("egress").Index(i)
		if len(out.GetHosts()) == 0 {
			errs = append(errs, field.Required(at.Child("hosts"), "at least one host, as NAMESPACE/HOST"))
		}
		for j, h := range out.GetHosts() {
			if !strings.Contains(h, "/") {
				errs = append(errs, field.Invalid(at.Child("hosts").Index(j), h, "must be NAMESPACE/HOST"))
				continue
			}
			errs = append(errs, namespacedHost(at.Child("hosts").Index(j), h, "~")...)
		}
	}
	return errs
}
