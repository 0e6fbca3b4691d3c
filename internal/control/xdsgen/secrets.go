package xdsgen

import (
	"fmt"

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
	users := map[string][]mesh.Ref{} // Gateway objects, by the Secret that they name
	for _, list := range ports {
		for _, server := range list {
			if server.Server.TLS != nil {
				name := server.Server.TLS.Credential
				users[name] = append(users[name], server.Ref)
			}
		}
	}
	var out []*Resource
	for name, refs := range users {
		s := byName[name]
		if s == nil {
			continue
		}
		refs, roots := sorted(refs), byName[name+caSuffix]
		key := fmt.Sprint(s.Ref, refs)
		out = append(out, g.secrets.Get(key, []any{s, roots}, func() []*Resource { return secretResources(s, roots, refs) })...)
	}
	return out
}

// secretResources makes the certificate and the roots of a Secret. The Gateway
// objects that name it are among the origins: a Secret has no status, so they say
// what is wrong with it.
func secretResources(s, roots *mesh.Secret, users []mesh.Ref) []*Resource {
	name := secretName(s.Namespace, s.Name)
	bytes := func(b []byte) *corev3.DataSource {
		return &corev3.DataSource{Specifier: &corev3.DataSource_InlineBytes{InlineBytes: b}}
	}
	var out []*Resource
	if len(s.Cert) > 0 && len(s.Key) > 0 {
		out = append(out, newResource(SecretType, name, &tlsv3.Secret{Name: name, Type: &tlsv3.Secret_TlsCertificate{
			TlsCertificate: &tlsv3.TlsCertificate{CertificateChain: bytes(s.Cert), PrivateKey: bytes(s.Key)},
		}}, append(users, s.Ref)...))
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
		}}, append(users, from)...))
	}
	return out
}
