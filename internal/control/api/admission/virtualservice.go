package admission

import (
	"strings"

	networking "istio.io/api/networking/v1alpha3"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// meshGateway is the reserved name for sidecars.
const meshGateway = "mesh"

func virtualService(s subject[networking.VirtualService]) field.ErrorList {
	v := s.spec
	errs := vsHosts(s)
	errs = append(errs, vsGateways(s.at.Child("gateways"), v.GetGateways())...)
	errs = append(errs, exportTo(s.at.Child("exportTo"), v.GetExportTo())...)
	if len(v.GetHttp())+len(v.GetTls())+len(v.GetTcp()) == 0 {
		errs = append(errs, field.Required(s.at, "at least one route: http, tls or tcp"))
	}
	for i, r := range v.GetHttp() {
		errs = append(errs, httpRoute(s.at.Child("http").Index(i), r)...)
	}
	for i, r := range v.GetTls() {
		at := s.at.Child("tls").Index(i)
		if len(r.GetMatch()) == 0 {
			errs = append(errs, field.Required(at.Child("match"), "which connections: at least one match with sniHosts"))
		}
		for j, m := range r.GetMatch() {
			if len(m.GetSniHosts()) == 0 {
				errs = append(errs, field.Required(at.Child("match").Index(j).Child("sniHosts"), "at least one host"))
			}
			for k, h := range m.GetSniHosts() {
				errs = append(errs, wildcardHost(at.Child("match").Index(j).Child("sniHosts").Index(k), h)...)
			}
			errs = append(errs, l4Match(at.Child("match").Index(j), m.GetPort(), m.GetDestinationSubnets())...)
		}
		errs = append(errs, l4Destinations(at.Child("route"), r.GetRoute())...)
	}
	for i, r := range v.GetTcp() {
		at := s.at.Child("tcp").Index(i)
		for j, m := range r.GetMatch() {
			errs = append(errs, l4Match(at.Child("match").Index(j), m.GetPort(), m.GetDestinationSubnets())...)
		}
		errs = append(errs, l4Destinations(at.Child("route"), r.GetRoute())...)
	}
	return errs
}

// vsHosts: a VirtualService without hosts is a delegate, which another one names;
// it has HTTP routes alone and no gateways of its own.
func vsHosts(s subject[networking.VirtualService]) field.ErrorList {
	v, at := s.spec, s.at.Child("hosts")
	if len(v.GetHosts()) == 0 {
		if len(v.GetGateways()) > 0 || len(v.GetTls()) > 0 || len(v.GetTcp()) > 0 || len(v.GetHttp()) == 0 {
			return field.ErrorList{field.Required(at, "at least one host (only a delegate, with http routes and no gateways, has none)")}
		}
		return nil
	}
	inMesh := len(v.GetGateways()) == 0
	for _, g := range v.GetGateways() {
		inMesh = inMesh || g == meshGateway
	}
	var errs field.ErrorList
	seen := map[string]bool{}
	for i, h := range v.GetHosts() {
		switch {
		case seen[strings.ToLower(h)]:
			errs = append(errs, field.Duplicate(at.Index(i), h))
		case h == "*" && inMesh:
			errs = append(errs, field.Invalid(at.Index(i), h, "cannot be for sidecars: name the gateways that it is for"))
		case isAddress(h):
		default:
			errs = append(errs, wildcardHost(at.Index(i), h)...)
		}
		seen[strings.ToLower(h)] = true
	}
	return errs
}

func vsGateways(at *field.Path, values []string) field.ErrorList {
	var errs field.ErrorList
	seen := map[string]bool{}
	for i, g := range values {
		ns, name, ok := strings.Cut(g, "/")
		if !ok {
			ns, name = ".", g
		}
		switch {
		case g == "":
			errs = append(errs, field.Required(at.Index(i), "a gateway, or mesh"))
		case seen[g]:
			errs = append(errs, field.Duplicate(at.Index(i), g))
		case ns != "." && len(validation.IsDNS1123Label(ns)) > 0 || len(validation.IsDNS1123Subdomain(name)) > 0:
			errs = append(errs, field.Invalid(at.Index(i), g, "must be NAME, NAMESPACE/NAME or mesh"))
		}
		seen[g] = true
	}
	return errs
}

func l4Match(at *field.Path, number uint32, subnets []string) field.ErrorList {
	var errs field.ErrorList
	if number != 0 {
		errs = port(at.Child("port"), number)
	}
	for i, n := range subnets {
		errs = append(errs, addressBlock(at.Child("destinationSubnets").Index(i), n)...)
	}
	return errs
}

func l4Destinations(at *field.Path, routes []*networking.RouteDestination) field.ErrorList {
	if len(routes) == 0 {
		return field.ErrorList{field.Required(at, "at least one destination")}
	}
	var errs field.ErrorList
	weights := make([]int32, len(routes))
	for i, r := range routes {
		errs = append(errs, destination(at.Index(i).Child("destination"), r.GetDestination())...)
		weights[i] = r.GetWeight()
	}
	return append(errs, weighted(at, weights)...)
}
