package admission

import (
	"strings"

	networking "istio.io/api/networking/v1alpha3"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func serviceEntry(s subject[networking.ServiceEntry]) field.ErrorList {
	e := s.spec
	var errs field.ErrorList
	seen := map[string]bool{}
	for i, h := range e.GetHosts() {
		at := s.at.Child("hosts").Index(i)
		errs = append(errs, wildcardHost(at, h)...)
		if seen[strings.ToLower(h)] {
			errs = append(errs, field.Duplicate(at, h))
		}
		seen[strings.ToLower(h)] = true
	}
	for i, a := range e.GetAddresses() {
		errs = append(errs, addressBlock(s.at.Child("addresses").Index(i), a)...)
	}
	for i, p := range e.GetPorts() {
		at := s.at.Child("ports").Index(i)
		errs = append(errs, port(at.Child("number"), p.GetNumber())...)
		if p.GetProtocol() != "" {
			errs = append(errs, protocol(at.Child("protocol"), p.GetProtocol())...)
		}
		errs = append(errs, label(at.Child("name"), strings.ToLower(p.GetName()))...)
	}
	errs = append(errs, labels(s.at.Child("workloadSelector", "labels"), e.GetWorkloadSelector().GetLabels())...)
	errs = append(errs, exportTo(s.at.Child("exportTo"), e.GetExportTo())...)
	return append(errs, endpoints(s)...)
}

// endpoints must suit the resolution: addresses for STATIC, names too for DNS.
func endpoints(s subject[networking.ServiceEntry]) field.ErrorList {
	e, at := s.spec, s.at.Child("endpoints")
	var errs field.ErrorList
	names := map[string]bool{}
	for _, p := range e.GetPorts() {
		names[p.GetName()] = true
	}
	for i, ep := range e.GetEndpoints() {
		errs = append(errs, workloadEntry(at.Index(i), ep)...)
		for name := range ep.GetPorts() {
			if !names[name] {
				errs = append(errs, field.Invalid(at.Index(i).Child("ports"), name, "is no name of the entry's ports"))
			}
		}
		a := ep.GetAddress()
		if e.GetResolution() == networking.ServiceEntry_STATIC && a != "" && !isAddress(a) && !strings.HasPrefix(a, "unix://") {
			errs = append(errs, field.Invalid(at.Index(i).Child("address"), a, "must be an IP address or unix:// and a path, since resolution is STATIC"))
		}
	}
	if e.GetResolution() == networking.ServiceEntry_STATIC && len(e.GetEndpoints()) == 0 && e.GetWorkloadSelector() == nil && len(e.GetAddresses()) == 0 {
		errs = append(errs, field.Required(at, "endpoints or a workloadSelector, since resolution is STATIC"))
	}
	dns := e.GetResolution() == networking.ServiceEntry_DNS || e.GetResolution() == networking.ServiceEntry_DNS_ROUND_ROBIN
	for i, h := range e.GetHosts() {
		if dns && len(e.GetEndpoints()) == 0 && strings.Contains(h, "*") {
			errs = append(errs, field.Invalid(s.at.Child("hosts").Index(i), h, "cannot be looked up: with resolution "+e.GetResolution().String()+" and no endpoints, hosts have no wildcard"))
		}
	}
	return errs
}

func workloadEntrySpec(s subject[networking.WorkloadEntry]) field.ErrorList {
	return workloadEntry(s.at, s.spec)
}

func workloadEntry(at *field.Path, w *networking.WorkloadEntry) field.ErrorList {
	errs := labels(at.Child("labels"), w.GetLabels())
	if a := w.GetAddress(); a != "" && !isAddress(a) && !strings.HasPrefix(a, "unix://") {
		errs = append(errs, host(at.Child("address"), a)...)
	}
	for name, n := range w.GetPorts() {
		errs = append(errs, port(at.Child("ports").Key(name), n)...)
	}
	return errs
}

func workloadGroup(s subject[networking.WorkloadGroup]) field.ErrorList {
	errs := labels(s.at.Child("metadata", "labels"), s.spec.GetMetadata().GetLabels())
	if t := s.spec.GetTemplate(); t != nil {
		errs = append(errs, workloadEntry(s.at.Child("template"), t)...)
	}
	return errs
}
