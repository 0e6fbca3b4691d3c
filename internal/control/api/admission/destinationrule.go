package admission

import (
	networking "istio.io/api/networking/v1alpha3"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func destinationRule(s subject[networking.DestinationRule]) field.ErrorList {
	errs := wildcardHost(s.at.Child("host"), s.spec.GetHost())
	errs = append(errs, labels(s.at.Child("workloadSelector", "matchLabels"), s.spec.GetWorkloadSelector().GetMatchLabels())...)
	errs = append(errs, exportTo(s.at.Child("exportTo"), s.spec.GetExportTo())...)
	errs = append(errs, trafficPolicy(s.at.Child("trafficPolicy"), s.spec.GetTrafficPolicy())...)
	seen := map[string]bool{}
	for i, sub := range s.spec.GetSubsets() {
		at := s.at.Child("subsets").Index(i)
		errs = append(errs, label(at.Child("name"), sub.GetName())...)
		errs = append(errs, labels(at.Child("labels"), sub.GetLabels())...)
		errs = append(errs, trafficPolicy(at.Child("trafficPolicy"), sub.GetTrafficPolicy())...)
		if seen[sub.GetName()] {
			errs = append(errs, field.Duplicate(at.Child("name"), sub.GetName()))
		}
		seen[sub.GetName()] = true
	}
	return errs
}

func trafficPolicy(at *field.Path, p *networking.TrafficPolicy) field.ErrorList {
	if p == nil {
		return nil
	}
	errs := portPolicy(at, p.GetConnectionPool(), p.GetOutlierDetection(), p.GetTls())
	seen := map[uint32]bool{}
	for i, l := range p.GetPortLevelSettings() {
		at := at.Child("portLevelSettings").Index(i)
		n := l.GetPort().GetNumber()
		errs = append(errs, port(at.Child("port", "number"), n)...)
		if seen[n] {
			errs = append(errs, field.Duplicate(at.Child("port", "number"), n))
		}
		seen[n] = true
		errs = append(errs, portPolicy(at, l.GetConnectionPool(), l.GetOutlierDetection(), l.GetTls())...)
	}
	return errs
}

func portPolicy(at *field.Path, c *networking.ConnectionPoolSettings, o *networking.OutlierDetection, t *networking.ClientTLSSettings) field.ErrorList {
	var errs field.ErrorList
	notNegative := func(at *field.Path, n int32) {
		if n < 0 {
			errs = append(errs, field.Invalid(at, n, "must not be negative"))
		}
	}
	tcp, http := at.Child("connectionPool", "tcp"), at.Child("connectionPool", "http")
	notNegative(tcp.Child("maxConnections"), c.GetTcp().GetMaxConnections())
	notNegative(http.Child("http1MaxPendingRequests"), c.GetHttp().GetHttp1MaxPendingRequests())
	notNegative(http.Child("http2MaxRequests"), c.GetHttp().GetHttp2MaxRequests())
	notNegative(http.Child("maxRequestsPerConnection"), c.GetHttp().GetMaxRequestsPerConnection())
	notNegative(http.Child("maxRetries"), c.GetHttp().GetMaxRetries())
	percent := func(at *field.Path, n int32) {
		if n < 0 || n > 100 {
			errs = append(errs, field.Invalid(at, n, "must be from 0 to 100"))
		}
	}
	percent(at.Child("outlierDetection", "maxEjectionPercent"), o.GetMaxEjectionPercent())
	percent(at.Child("outlierDetection", "minHealthPercent"), o.GetMinHealthPercent())
	return append(errs, clientTLS(at.Child("tls"), t)...)
}

func clientTLS(at *field.Path, t *networking.ClientTLSSettings) field.ErrorList {
	files := []struct{ name, value string }{
		{"clientCertificate", t.GetClientCertificate()}, {"privateKey", t.GetPrivateKey()}, {"caCertificates", t.GetCaCertificates()},
	}
	var errs field.ErrorList
	switch t.GetMode() {
	case networking.ClientTLSSettings_ISTIO_MUTUAL:
		for _, f := range files {
			if f.value != "" {
				errs = append(errs, field.Forbidden(at.Child(f.name), "is the mesh's own with mode ISTIO_MUTUAL"))
			}
		}
	case networking.ClientTLSSettings_MUTUAL:
		if t.GetCredentialName() == "" {
			for _, f := range files[:2] {
				if f.value == "" {
					errs = append(errs, field.Required(at.Child(f.name), "a file, or credentialName, since mode is MUTUAL"))
				}
			}
		}
	}
	return errs
}
