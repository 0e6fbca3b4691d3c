package translate

import (
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
)

type settings struct {
	*mesh.Settings
	verdict verdict
}

// usedSettings are the fields of the mesh configuration that have effect.
var usedSettings = set("outboundTrafficPolicy.mode", "trustDomain", "rootNamespace")

func (p *pass) readSettings() {
	var cm *corev1.ConfigMap
	for _, c := range p.in.ConfigMaps {
		if c.Namespace == rootNamespace && c.Name == configMapName {
			cm = c
		}
	}
	s := p.settings.Get("", []any{cm}, func() settings { return translateSettings(cm) })
	p.out.Settings = s.Settings
	if cm != nil {
		p.found.report(refOf("", "ConfigMap", cm), cm, &s.verdict)
	}
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
