package builtin

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func serviceKind() *kind {
	return &kind{
		resource:      schema.GroupResource{Resource: "services"},
		singular:      "service",
		short:         []string{"svc"},
		categories:    []string{"all"},
		new:           func() runtime.Object { return &corev1.Service{} },
		newList:       func() runtime.Object { return &corev1.ServiceList{} },
		name:          validation.NameIsDNS1035Label,
		prepareCreate: func(o runtime.Object) { o.(*corev1.Service).Status = corev1.ServiceStatus{} },
		prepareUpdate: func(o, old runtime.Object) { o.(*corev1.Service).Status = old.(*corev1.Service).Status },
		validate:      func(o runtime.Object) field.ErrorList { return validateService(o.(*corev1.Service)) },
		validateUpdate: func(o, old runtime.Object) field.ErrorList {
			return validateServiceUpdate(o.(*corev1.Service), old.(*corev1.Service))
		},
		prepareStatus: func(o, old runtime.Object) { o.(*corev1.Service).Spec = old.(*corev1.Service).Spec },
		fields: func(o runtime.Object) fields.Set {
			s := o.(*corev1.Service).Spec
			return fields.Set{"spec.clusterIP": s.ClusterIP, "spec.type": string(s.Type)}
		},
		columns: []metav1.TableColumnDefinition{
			column("Type", "string", "ClusterIP or ExternalName."),
			column("Cluster-IP", "string", "The address that stands for the service."),
			column("External-IP", "string", "The addresses or the name outside the mesh."),
			column("Port(s)", "string", "The service's ports."),
		},
		row:     func(o runtime.Object) []any { return serviceRow(o.(*corev1.Service)) },
		wide:    []metav1.TableColumnDefinition{wideColumn("Selector", "string", "The labels of its workloads.")},
		wideRow: func(o runtime.Object) []any { return []any{labels.FormatLabels(o.(*corev1.Service).Spec.Selector)} },
	}
}

func defaultService(s *corev1.Service) {
	spec := &s.Spec
	if spec.Type == "" {
		spec.Type = corev1.ServiceTypeClusterIP
	}
	if spec.SessionAffinity == "" {
		spec.SessionAffinity = corev1.ServiceAffinityNone
	}
	for i := range spec.Ports {
		p := &spec.Ports[i]
		if p.Protocol == "" {
			p.Protocol = corev1.ProtocolTCP
		}
		if p.TargetPort == intstr.FromInt32(0) || p.TargetPort == intstr.FromString("") {
			p.TargetPort = intstr.FromInt32(p.Port)
		}
	}
	if spec.Type == corev1.ServiceTypeClusterIP && spec.InternalTrafficPolicy == nil {
		cluster := corev1.ServiceInternalTrafficPolicyCluster
		spec.InternalTrafficPolicy = &cluster
	}
}

// defaultFamilies names the one address family there is, once the service has an
// address, or has none on purpose.
func defaultFamilies(spec *corev1.ServiceSpec) {
	if spec.Type == corev1.ServiceTypeExternalName {
		spec.IPFamilies, spec.IPFamilyPolicy, spec.ClusterIPs = nil, nil, nil
		return
	}
	spec.ClusterIPs = []string{spec.ClusterIP}
	if len(spec.IPFamilies) == 0 {
		spec.IPFamilies = []corev1.IPFamily{corev1.IPv4Protocol}
	}
	if spec.IPFamilyPolicy == nil {
		single := corev1.IPFamilyPolicySingleStack
		spec.IPFamilyPolicy = &single
	}
}

func serviceRow(s *corev1.Service) []any {
	ip := s.Spec.ClusterIP
	if ip == "" {
		ip = "<none>"
	}
	external := slices.Clone(s.Spec.ExternalIPs)
	if s.Spec.Type == corev1.ServiceTypeExternalName {
		external = append(external, s.Spec.ExternalName)
	}
	return []any{string(s.Spec.Type), ip, orNone(external), orNone(portTexts(s.Spec.Ports))}
}

func portTexts(ports []corev1.ServicePort) []string {
	var out []string
	for _, p := range ports {
		out = append(out, fmt.Sprintf("%d/%s", p.Port, p.Protocol))
	}
	return out
}

func orNone(l []string) string {
	if len(l) == 0 {
		return "<none>"
	}
	return strings.Join(l, ",")
}
