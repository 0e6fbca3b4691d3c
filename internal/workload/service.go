package workload

import (
	"context"
	"fmt"
	"maps"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/usher-mesh/usher/internal/proxy/supervise/spec"
)

func (r *Registry) ensureService(ctx context.Context, s *spec.Spec) error {
	svc := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{
			Name: s.Service, Namespace: s.Namespace,
			Labels:      map[string]string{"app": s.Service, managedLabel: managedBy},
			Annotations: map[string]string{portsAnnotation: portsSummary(s.Ports)},
		},
		Spec: corev1.ServiceSpec{Selector: map[string]string{"app": s.Service}},
	}
	for _, p := range s.Ports {
		svc.Spec.Ports = append(svc.Spec.Ports, corev1.ServicePort{
			Name: p.Name, Port: int32(p.Port), TargetPort: intstr.FromInt32(int32(p.Port)),
		})
	}
	_, err := r.kube.CoreV1().Services(s.Namespace).Create(ctx, svc, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("create Service %s/%s: %w", s.Namespace, s.Service, err)
	}
	return nil
}

func portsSummary(ports []spec.Port) string {
	out := ""
	for _, p := range ports {
		out += fmt.Sprintf("%s=%d ", p.Name, p.Port)
	}
	return out
}

// edited tells whether somebody else made the Service or changed it since.
func edited(svc *corev1.Service) bool {
	if svc.Labels[managedLabel] != managedBy || svc.Labels["app"] != svc.Name || len(svc.Labels) != 2 ||
		len(svc.Annotations) != 1 || !maps.Equal(svc.Spec.Selector, map[string]string{"app": svc.Name}) {
		return true
	}
	var ports []spec.Port
	for _, p := range svc.Spec.Ports {
		if p.TargetPort.IntValue() != int(p.Port) {
			return true
		}
		ports = append(ports, spec.Port{Name: p.Name, Port: uint16(p.Port)})
	}
	return svc.Annotations[portsAnnotation] != portsSummary(ports)
}
