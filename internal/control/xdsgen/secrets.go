package xdsgen

import (
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"

	"github.com/usher-mesh/usher/internal/mesh"
)

// caSuffix is Istio's ending of the Secret that holds the roots for clients.
const caSuffix = "-cacert"

func secretName(namespace, name string) string { return "kubernetes://" + namespace + "/" + name }

// edgeSecrets makes the certificates that a gateway's servers name. Only Secrets
// of the proxy's own namespace, in which its service account is, are among them.
func (g *Generator) edgeSecrets(m *mesh.Model, p *mesh.Proxy, ports map[uint16][]edgeServer) []*Resource {
	byName := map[string]*mesh.Secret{}
	for _, s := range m.Secrets {
		if s.Namespace == p.Namespace {
			byName[s.Name] = s
		}
	}
	var out []*Resource
	for _, list := range ports {
		for _, server := range list {
			if server.Server.TLS == nil {
				continue
			}
			s := byName[server.Server.TLS.Credential]
			if s == nil {
				continue
			}
			roots := byName[s.Name+caSuffix]
			out = append(out, g.secrets.Get(s.Ref, []any{s, roots}, func() []*Resource { return secretResources(s, roots) })...)
		}
	}
	return out
}

func secretResources(s, roots *mesh.Secret) []*Resource {
	name := secretName(s.Namespace, s.Name)
	bytes := func(b []byte) *corev3.DataSource {
		return &corev3.DataSource{Specifier: &corev3.DataSource_InlineBytes{InlineBytes: b}}
	}
	var out []*Resource
	if len(s.Cert) > 0 && len(s.Key) > 0 {
		out = append(out, newResource(SecretType, name, &tlsv3.Secret{Name: name, Type: &tlsv3.Secret_TlsCertificate{
			TlsCertificate: &tlsv3.TlsCertificate{CertificateChain: bytes(s.Cert), PrivateKey: bytes(s.Key)},
		}}, s.Ref))
	}
	ca, from := s.CA, s.Ref
	if roots != nil && len(roots.CA) > 0 {
		ca, from = roots.CA, roots.Ref
	}
	if len(ca) > 0 {
		out = append(out, newResource(SecretType, name+caSuffix, &tlsv3.Secret{Name: name + caSuffix, Type: &tlsv3.Secret_ValidationContext{
			ValidationContext: &tlsv3.CertificateValidationContext{
				TrustedCa: &corev3.DataSource{Specifier: &corev3.DataSource_InlineBytes{InlineBytes: ca}},
			},
		}}, from))
	}
	return out
}
