package translate

import (
	"crypto/x509"
	"encoding/pem"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	meshconfig "istio.io/api/mesh/v1alpha1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/usher-mesh/usher/internal/mesh"
)

const (
	rootNamespace = "istio-system"
	trustDomain   = "cluster.local"
	domain        = "svc.cluster.local"
	configMapName = "istio"
	configMapKey  = "mesh"
	// Where Istio's chart puts pilot.jwksResolverExtraRootCA.
	rootsMapName = "pilot-jwks-extra-cacerts"
	rootsMapKey  = "extra.pem"
)

type settings struct {
	*mesh.Settings
	verdict, rootsVerdict verdict
}

// usedSettings are the fields of the mesh configuration that have effect.
var usedSettings = set("outboundTrafficPolicy.mode", "trustDomain", "rootNamespace")

func (p *pass) readSettings() {
	var cm, roots *corev1.ConfigMap
	for _, c := range p.in.ConfigMaps {
		switch {
		case c.Namespace != rootNamespace:
		case c.Name == configMapName:
			cm = c
		case c.Name == rootsMapName:
			roots = c
		}
	}
	s := p.settings.Get("", []any{cm, roots}, func() settings {
		s := translateSettings(cm)
		s.readRoots(roots)
		return s
	})
	p.out.Settings = s.Settings
	if cm != nil {
		p.found.report(refOf("", "ConfigMap", cm), cm, &s.verdict)
	}
	if roots != nil {
		p.found.report(refOf("", "ConfigMap", roots), roots, &s.rootsVerdict)
	}
}

// readRoots reads the roots that keys of issuers are fetched with. Of a bundle that
// has something bad nothing is trusted.
func (s *settings) readRoots(cm *corev1.ConfigMap) {
	if cm == nil || strings.TrimSpace(cm.Data[rootsMapKey]) == "" {
		return
	}
	n := 0
	for rest := []byte(cm.Data[rootsMapKey]); ; n++ {
		var b *pem.Block
		if b, rest = pem.Decode(rest); b == nil {
			if n > 0 && strings.TrimSpace(string(rest)) == "" {
				break
			}
			s.rootsVerdict.refuse(reasonInvalid, "data[%s]: not PEM certificates: something else stands after %d of them", rootsMapKey, n)
			return
		}
		if b.Type != "CERTIFICATE" {
			s.rootsVerdict.refuse(reasonInvalid, "data[%s]: block %d is no certificate", rootsMapKey, n)
			return
		}
		if _, err := x509.ParseCertificate(b.Bytes); err != nil {
			s.rootsVerdict.refuse(reasonInvalid, "data[%s]: certificate %d: %v", rootsMapKey, n, err)
			return
		}
	}
	s.JWKSRoots = []byte(cm.Data[rootsMapKey])
}

// translateSettings reads the mesh configuration. With one that cannot be read
// the mesh calls nothing that it does not know.
func translateSettings(cm *corev1.ConfigMap) settings {
	s := settings{Settings: &mesh.Settings{TrustDomain: trustDomain, RootNamespace: rootNamespace, OutboundAny: true}}
	if cm == nil || cm.Data[configMapKey] == "" {
		return s
	}
	var c meshconfig.MeshConfig
	text, err := yaml.YAMLToJSON([]byte(cm.Data[configMapKey]))
	if string(text) == "null" { // nothing but comments
		return s
	}
	if err == nil {
		err = protojson.Unmarshal(text, &c)
	}
	if err != nil {
		s.OutboundAny = false
		s.verdict.refuse(reasonInvalid, "data.%s: %v", configMapKey, err)
		return s
	}
	if c.OutboundTrafficPolicy != nil {
		s.OutboundAny = c.OutboundTrafficPolicy.Mode == meshconfig.MeshConfig_OutboundTrafficPolicy_ALLOW_ANY
	}
	if c.TrustDomain != "" && c.TrustDomain != trustDomain {
		s.verdict.warn("trustDomain: it is %s, and cannot be set yet", trustDomain)
	}
	if c.RootNamespace != "" && c.RootNamespace != rootNamespace {
		s.verdict.warn("rootNamespace: it is %s, and cannot be set yet", rootNamespace)
	}
	for _, f := range ignored(&c, usedSettings) {
		s.verdict.warn("%s has no effect yet", f)
	}
	return s
}
