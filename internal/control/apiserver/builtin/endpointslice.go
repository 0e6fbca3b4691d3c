package builtin

import (
	"fmt"
	"net/netip"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

const (
	maxEndpoints      = 1000
	maxSlicePorts     = 100
	maxSliceAddresses = 100
)

func endpointSliceKind() *kind {
	return &kind{
		resource:      schema.GroupResource{Group: discoveryv1.GroupName, Resource: "endpointslices"},
		singular:      "endpointslice",
		new:           func() runtime.Object { return &discoveryv1.EndpointSlice{} },
		newList:       func() runtime.Object { return &discoveryv1.EndpointSliceList{} },
		name:          validation.NameIsDNSSubdomain,
		prepareCreate: func(o runtime.Object) { o.(*discoveryv1.EndpointSlice).Generation = 1 },
		prepareUpdate: func(o, old runtime.Object) {
			updateEndpointSlice(o.(*discoveryv1.EndpointSlice), old.(*discoveryv1.EndpointSlice))
		},
		validate: func(o runtime.Object) field.ErrorList { return validateEndpointSlice(o.(*discoveryv1.EndpointSlice)) },
		validateUpdate: func(o, old runtime.Object) field.ErrorList {
			is, was := o.(*discoveryv1.EndpointSlice).AddressType, old.(*discoveryv1.EndpointSlice).AddressType
			return validation.ValidateImmutableField(is, was, field.NewPath("addressType"))
		},
		columns: []metav1.TableColumnDefinition{
			column("AddressType", "string", "IPv4, IPv6 or FQDN."),
			column("Ports", "string", "The endpoints' ports."),
			column("Endpoints", "string", "The endpoints' addresses."),
		},
		row: func(o runtime.Object) []any { return endpointSliceRow(o.(*discoveryv1.EndpointSlice)) },
	}
}

func defaultEndpointSlice(s *discoveryv1.EndpointSlice) {
	for i := range s.Ports {
		if s.Ports[i].Name == nil {
			s.Ports[i].Name = new(string)
		}
		if s.Ports[i].Protocol == nil {
			tcp := corev1.ProtocolTCP
			s.Ports[i].Protocol = &tcp
		}
	}
}

func updateEndpointSlice(s, old *discoveryv1.EndpointSlice) {
	s.Generation = old.Generation
	if !equality.Semantic.DeepEqual(s.Endpoints, old.Endpoints) || !equality.Semantic.DeepEqual(s.Ports, old.Ports) {
		s.Generation++
	}
}

func validateEndpointSlice(s *discoveryv1.EndpointSlice) (errs field.ErrorList) {
	types := []discoveryv1.AddressType{discoveryv1.AddressTypeIPv4, discoveryv1.AddressTypeIPv6, discoveryv1.AddressTypeFQDN}
	at := field.NewPath("addressType")
	switch s.AddressType {
	case "":
		errs = append(errs, field.Required(at, ""))
	case types[0], types[1], types[2]:
	default:
		errs = append(errs, field.NotSupported(at, s.AddressType, types))
	}
	eps := field.NewPath("endpoints")
	if len(s.Endpoints) > maxEndpoints {
		return append(errs, field.TooMany(eps, len(s.Endpoints), maxEndpoints))
	}
	for i, e := range s.Endpoints {
		addrs := eps.Index(i).Child("addresses")
		switch {
		case len(e.Addresses) == 0:
			errs = append(errs, field.Required(addrs, "must contain at least 1 address"))
		case len(e.Addresses) > maxSliceAddresses:
			errs = append(errs, field.TooMany(addrs, len(e.Addresses), maxSliceAddresses))
			continue
		}
		for j, a := range e.Addresses {
			errs = append(errs, endpointAddress(s.AddressType, a, addrs.Index(j))...)
		}
	}
	return append(errs, validateEndpointPorts(s.Ports)...)
}

// endpointAddress allows loopback addresses, unlike Kubernetes: the workloads of one
// machine live there.
func endpointAddress(t discoveryv1.AddressType, a string, p *field.Path) (errs field.ErrorList) {
	if t == discoveryv1.AddressTypeFQDN {
		return utilvalidation.IsFullyQualifiedDomainName(p, a)
	}
	ip, err := netip.ParseAddr(a)
	if err != nil || ip.Zone() != "" || ip.String() != a {
		return field.ErrorList{field.Invalid(p, a, "must be a valid IP address")}
	}
	if ip.Is4() != (t == discoveryv1.AddressTypeIPv4) {
		return field.ErrorList{field.Invalid(p, a, fmt.Sprintf("must be an address of type %s", t))}
	}
	if ip.IsUnspecified() || ip.IsMulticast() {
		return field.ErrorList{field.Invalid(p, a, "may not be unspecified or multicast")}
	}
	return nil
}

func validateEndpointPorts(ports []discoveryv1.EndpointPort) (errs field.ErrorList) {
	path := field.NewPath("ports")
	if len(ports) > maxSlicePorts {
		return field.ErrorList{field.TooMany(path, len(ports), maxSlicePorts)}
	}
	seen := map[string]bool{}
	for i, p := range ports {
		name := ""
		if p.Name != nil {
			name = *p.Name
		}
		if seen[name] {
			errs = append(errs, field.Duplicate(path.Index(i).Child("name"), name))
		}
		seen[name] = true
		if name != "" {
			for _, why := range utilvalidation.IsDNS1123Label(name) {
				errs = append(errs, field.Invalid(path.Index(i).Child("name"), name, why))
			}
		}
		if p.Protocol != nil {
			errs = append(errs, protocol(*p.Protocol, path.Index(i).Child("protocol"))...)
		}
		if p.Port != nil {
			for _, why := range utilvalidation.IsValidPortNum(int(*p.Port)) {
				errs = append(errs, field.Invalid(path.Index(i).Child("port"), *p.Port, why))
			}
		}
	}
	return errs
}

func endpointSliceRow(s *discoveryv1.EndpointSlice) []any {
	var ports, addrs []string
	for _, p := range s.Ports {
		if p.Port != nil {
			ports = append(ports, fmt.Sprint(*p.Port))
		}
	}
	for _, e := range s.Endpoints {
		addrs = append(addrs, e.Addresses...)
	}
	return []any{string(s.AddressType), firstFew(ports), firstFew(addrs)}
}

// firstFew is a cell of at most three values.
func firstFew(l []string) string {
	switch {
	case len(l) == 0:
		return "<unset>"
	case len(l) > 3:
		return fmt.Sprintf("%s + %d more...", strings.Join(l[:3], ","), len(l)-3)
	}
	return strings.Join(l, ",")
}
