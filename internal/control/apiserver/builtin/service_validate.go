package builtin

import (
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/intstr"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

const maxServicePorts = 100

func validateService(s *corev1.Service) (errs field.ErrorList) {
	spec := field.NewPath("spec")
	errs = append(errs, metav1validation.ValidateLabels(s.Spec.Selector, spec.Child("selector"))...)
	headless := s.Spec.ClusterIP == corev1.ClusterIPNone
	switch s.Spec.Type {
	case corev1.ServiceTypeClusterIP:
		if len(s.Spec.Ports) == 0 && !headless {
			errs = append(errs, field.Required(spec.Child("ports"), ""))
		}
		if !headless {
			errs = append(errs, clusterIP(s.Spec.ClusterIP, spec.Child("clusterIP"))...)
		}
		if l := s.Spec.ClusterIPs; len(l) > 1 || len(l) == 1 && l[0] != s.Spec.ClusterIP {
			errs = append(errs, field.Invalid(spec.Child("clusterIPs"), l, "must hold the value of clusterIP alone"))
		}
	case corev1.ServiceTypeExternalName:
		if s.Spec.ClusterIP != "" {
			errs = append(errs, field.Forbidden(spec.Child("clusterIP"), "may not be set when `type` is ExternalName"))
		}
		for _, why := range utilvalidation.IsDNS1123Subdomain(s.Spec.ExternalName) {
			errs = append(errs, field.Invalid(spec.Child("externalName"), s.Spec.ExternalName, why))
		}
	default:
		errs = append(errs, field.NotSupported(spec.Child("type"), s.Spec.Type,
			[]corev1.ServiceType{corev1.ServiceTypeClusterIP, corev1.ServiceTypeExternalName}))
	}
	for i, f := range s.Spec.IPFamilies {
		if f != corev1.IPv4Protocol {
			errs = append(errs, field.NotSupported(spec.Child("ipFamilies").Index(i), f, []corev1.IPFamily{corev1.IPv4Protocol}))
		}
	}
	affinities := []corev1.ServiceAffinity{corev1.ServiceAffinityNone, corev1.ServiceAffinityClientIP}
	if !slices.Contains(affinities, s.Spec.SessionAffinity) {
		errs = append(errs, field.NotSupported(spec.Child("sessionAffinity"), s.Spec.SessionAffinity, affinities))
	}
	return append(errs, validateServicePorts(s.Spec.Ports, spec.Child("ports"))...)
}

func validateServicePorts(ports []corev1.ServicePort, path *field.Path) (errs field.ErrorList) {
	if len(ports) > maxServicePorts {
		return field.ErrorList{field.TooMany(path, len(ports), maxServicePorts)}
	}
	type end struct {
		protocol corev1.Protocol
		port     int32
	}
	names, ends := map[string]bool{}, map[end]bool{}
	for i, p := range ports {
		at := path.Index(i)
		switch {
		case p.Name == "" && len(ports) > 1:
			errs = append(errs, field.Required(at.Child("name"), ""))
		case p.Name != "":
			for _, why := range utilvalidation.IsDNS1123Label(p.Name) {
				errs = append(errs, field.Invalid(at.Child("name"), p.Name, why))
			}
			if names[p.Name] {
				errs = append(errs, field.Duplicate(at.Child("name"), p.Name))
			}
			names[p.Name] = true
		}
		for _, why := range utilvalidation.IsValidPortNum(int(p.Port)) {
			errs = append(errs, field.Invalid(at.Child("port"), p.Port, why))
		}
		errs = append(errs, protocol(p.Protocol, at.Child("protocol"))...)
		errs = append(errs, targetPort(p.TargetPort, at.Child("targetPort"))...)
		if p.NodePort != 0 {
			errs = append(errs, field.Forbidden(at.Child("nodePort"), "may not be used when `type` is 'ClusterIP'"))
		}
		e := end{p.Protocol, p.Port}
		if ends[e] {
			errs = append(errs, field.Duplicate(at, p.Port))
		}
		ends[e] = true
	}
	return errs
}

func targetPort(p intstr.IntOrString, at *field.Path) (errs field.ErrorList) {
	if p.Type == intstr.Int {
		for _, why := range utilvalidation.IsValidPortNum(p.IntValue()) {
			errs = append(errs, field.Invalid(at, p.IntVal, why))
		}
		return errs
	}
	for _, why := range utilvalidation.IsValidPortName(p.StrVal) {
		errs = append(errs, field.Invalid(at, p.StrVal, why))
	}
	return errs
}

func protocol(p corev1.Protocol, at *field.Path) field.ErrorList {
	all := []corev1.Protocol{corev1.ProtocolTCP, corev1.ProtocolUDP, corev1.ProtocolSCTP}
	if slices.Contains(all, p) {
		return nil
	}
	return field.ErrorList{field.NotSupported(at, p, all)}
}

func clusterIP(ip string, at *field.Path) field.ErrorList {
	a, err := netip.ParseAddr(ip)
	if err != nil || a.String() != ip {
		return field.ErrorList{field.Invalid(at, ip, "must be a valid IP address, empty or 'None'")}
	}
	return nil
}

// validateServiceUpdate keeps an address for the service's life, as clients have it.
func validateServiceUpdate(s, old *corev1.Service) field.ErrorList {
	if old.Spec.ClusterIP == "" || s.Spec.Type == corev1.ServiceTypeExternalName || s.Spec.ClusterIP == old.Spec.ClusterIP {
		return nil
	}
	return field.ErrorList{field.Invalid(field.NewPath("spec", "clusterIP"), s.Spec.ClusterIP, "field is immutable")}
}
