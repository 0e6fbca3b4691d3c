package translate

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/usher-mesh/usher/internal/mesh"
)

func (p *pass) readSecrets() {
	for _, o := range p.in.Secrets {
		ref := refOf("", "Secret", o)
		s := p.secrets.Get(ref, []any{o}, func() *mesh.Secret { return translateSecret(ref, o) })
		if s != nil {
			p.out.Secrets = append(p.out.Secrets, s)
		}
	}
}

// translateSecret reads the two layouts that Istio knows: tls.crt, tls.key,
// ca.crt, and cert, key, cacert. It is nil for what is not a certificate.
func translateSecret(ref mesh.Ref, o *corev1.Secret) *mesh.Secret {
	first := func(names ...string) []byte {
		for _, n := range names {
			if b := o.Data[n]; len(b) > 0 {
				return b
			}
		}
		return nil
	}
	s := &mesh.Secret{
		Ref: ref, Namespace: o.Namespace, Name: o.Name,
		Cert: first("tls.crt", "cert"), Key: first("tls.key", "key"), CA: first("ca.crt", "cacert"),
	}
	if (len(s.Cert) == 0 || len(s.Key) == 0) && len(s.CA) == 0 {
		return nil
	}
	return s
}
