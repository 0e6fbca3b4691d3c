package admission

import (
	"path"
	"strings"

	networking "istio.io/api/networking/v1alpha3"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// protocols are the names that a port's protocol may have, in upper case.
var protocols = map[string]bool{
	"HTTP": true, "HTTP2": true, "HTTPS": true, "GRPC": true, "GRPC-WEB": true, "TCP": true, "TLS": true,
	"UDP": true, "MONGO": true, "MYSQL": true, "REDIS": true, "HTTP_PROXY": true,
}

func protocol(at *field.Path, value string) field.ErrorList {
	if !protocols[strings.ToUpper(value)] {
		return field.ErrorList{field.NotSupported(at, value, []string{"HTTP", "HTTP2", "HTTPS", "GRPC", "GRPC-Web", "TCP", "TLS"})}
	}
	return nil
}

func gateway(s subject[networking.Gateway]) field.ErrorList {
	at := s.at.Child("servers")
	if len(s.spec.GetServers()) == 0 {
		return field.ErrorList{field.Required(at, "at least one server: a port and its hosts")}
	}
	errs := labels(s.at.Child("selector"), s.spec.GetSelector())
	names := map[string]bool{}
	for i, server := range s.spec.GetServers() {
		errs = append(errs, gatewayServer(at.Index(i), server)...)
		name := server.GetPort().GetName()
		if names[name] {
			errs = append(errs, field.Duplicate(at.Index(i).Child("port", "name"), name))
		}
		names[name] = true
	}
	return errs
}

func gatewayServer(at *field.Path, server *networking.Server) field.ErrorList {
	p := server.GetPort()
	errs := port(at.Child("port", "number"), p.GetNumber())
	errs = append(errs, protocol(at.Child("port", "protocol"), p.GetProtocol())...)
	if p.GetName() == "" {
		errs = append(errs, field.Required(at.Child("port", "name"), "a name"))
	}
	if len(server.GetHosts()) == 0 {
		errs = append(errs, field.Required(at.Child("hosts"), `at least one host ("*" for any)`))
	}
	for i, h := range server.GetHosts() {
		errs = append(errs, namespacedHost(at.Child("hosts").Index(i), h)...)
	}
	if b := server.GetBind(); b != "" && !isAddress(b) && !strings.HasPrefix(b, "unix://") {
		errs = append(errs, field.Invalid(at.Child("bind"), b, "must be an IP address or unix:// and a path"))
	}
	secure := strings.EqualFold(p.GetProtocol(), "HTTPS") || strings.EqualFold(p.GetProtocol(), "TLS")
	switch tls := server.GetTls(); {
	case secure && tls == nil:
		errs = append(errs, field.Required(at.Child("tls"), "TLS settings, since the port's protocol is "+p.GetProtocol()))
	case !secure && tls != nil && !redirectOnly(tls):
		errs = append(errs, field.Forbidden(at.Child("tls"), "a port of protocol "+p.GetProtocol()+" takes no TLS settings but httpsRedirect"))
	case secure:
		errs = append(errs, serverTLS(at.Child("tls"), tls)...)
	}
	return errs
}

func redirectOnly(t *networking.ServerTLSSettings) bool {
	return t.GetMode() == networking.ServerTLSSettings_PASSTHROUGH && t.GetCredentialName() == "" &&
		len(t.GetCredentialNames()) == 0 && t.GetServerCertificate() == "" && t.GetPrivateKey() == ""
}

func serverTLS(at *field.Path, t *networking.ServerTLSSettings) field.ErrorList {
	var errs field.ErrorList
	if t.GetHttpsRedirect() {
		errs = append(errs, field.Forbidden(at.Child("httpsRedirect"), "is for ports in clear: this one has TLS"))
	}
	low, high := t.GetMinProtocolVersion(), t.GetMaxProtocolVersion()
	if high != networking.ServerTLSSettings_TLS_AUTO && low > high {
		errs = append(errs, field.Invalid(at.Child("minProtocolVersion"), low.String(), "is above maxProtocolVersion "+high.String()))
	}
	mode := t.GetMode()
	if mode != networking.ServerTLSSettings_SIMPLE && mode != networking.ServerTLSSettings_MUTUAL && mode != networking.ServerTLSSettings_OPTIONAL_MUTUAL {
		return errs
	}
	if n := t.GetCredentialName(); n != "" || len(t.GetCredentialNames()) > 0 {
		if path.IsAbs(n) {
			errs = append(errs, field.Invalid(at.Child("credentialName"), n, "must be the name of a Secret, not a path"))
		}
		return errs
	}
	if len(t.GetTlsCertificates()) == 0 && (t.GetServerCertificate() == "" || t.GetPrivateKey() == "") {
		errs = append(errs, field.Required(at.Child("credentialName"), "a certificate: the name of a Secret, or serverCertificate and privateKey"))
	} else if mode != networking.ServerTLSSettings_SIMPLE && t.GetCaCertificates() == "" && t.GetCaCertCredentialName() == "" {
		errs = append(errs, field.Required(at.Child("caCertificates"), "the roots of the clients' certificates, since mode is "+mode.String()))
	}
	return errs
}
