package standalone

import (
	"context"
	"fmt"
	"maps"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes"
)

// Names of what every mesh has, as in Istio.
const (
	rootNamespace  = "istio-system"
	gatewayName    = "istio-ingressgateway"
	gatewayAccount = "istio-ingressgateway-service-account"
	meshConfigName = "istio"
	issuerName     = "issuer"
)

var gatewayLabels = map[string]string{"istio": "ingressgateway", "app": gatewayName}

// createObjects makes the objects that a mesh begins with. What is there stays
// as the user left it, but for the address of the issuer.
func createObjects(ctx context.Context, c kubernetes.Interface, issuerPort uint16) error {
	core := c.CoreV1()
	cm := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: meshConfigName, Namespace: rootNamespace},
		Data:       map[string]string{"mesh": "# Istio's MeshConfig\n"},
	}
	if _, err := core.ConfigMaps(rootNamespace).Create(ctx, cm, metav1.CreateOptions{}); !created(err) {
		return fmt.Errorf("create ConfigMap %s: %w", cm.Name, err)
	}
	sa := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: gatewayAccount, Namespace: rootNamespace}}
	if _, err := core.ServiceAccounts(rootNamespace).Create(ctx, sa, metav1.CreateOptions{}); !created(err) {
		return fmt.Errorf("create ServiceAccount %s: %w", sa.Name, err)
	}
	for _, s := range []*corev1.Service{gatewayService(), issuerService()} {
		if _, err := core.Services(rootNamespace).Create(ctx, s, metav1.CreateOptions{}); !created(err) {
			return fmt.Errorf("create Service %s: %w", s.Name, err)
		}
	}
	slices := c.DiscoveryV1().EndpointSlices(rootNamespace)
	es := issuerEndpoints(issuerPort)
	if _, err := slices.Create(ctx, es, metav1.CreateOptions{}); err == nil {
		return nil
	} else if !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("create EndpointSlice %s: %w", es.Name, err)
	}
	if _, err := slices.Update(ctx, es, metav1.UpdateOptions{}); err != nil {
		return fmt.Errorf("update EndpointSlice %s: %w", es.Name, err)
	}
	return nil
}

func created(err error) bool { return err == nil || apierrors.IsAlreadyExists(err) }

func gatewayService() *corev1.Service {
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: gatewayName, Namespace: rootNamespace, Labels: maps.Clone(gatewayLabels)},
		Spec: corev1.ServiceSpec{
			Selector: maps.Clone(gatewayLabels),
			Ports: []corev1.ServicePort{
				{Name: "http", Port: 80, TargetPort: intstr.FromInt32(80)},
				{Name: "https", Port: 443, TargetPort: intstr.FromInt32(443)},
			},
		},
	}
}

// issuerService is how the mesh calls the development issuer. It has no selector:
// its endpoint is the issuer's port, in an EndpointSlice of ours.
func issuerService() *corev1.Service {
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: issuerName, Namespace: rootNamespace, Labels: map[string]string{"app": issuerName}},
		Spec: corev1.ServiceSpec{
			Ports: []corev1.ServicePort{{Name: "http", Port: 80, TargetPort: intstr.FromInt32(80)}},
		},
	}
}

func issuerEndpoints(port uint16) *discoveryv1.EndpointSlice {
	name, p, ready, tcp := "http", int32(port), true, corev1.ProtocolTCP
	return &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{
			Name: issuerName, Namespace: rootNamespace,
			Labels: map[string]string{discoveryv1.LabelServiceName: issuerName, discoveryv1.LabelManagedBy: "usher"},
		},
		AddressType: discoveryv1.AddressTypeIPv4,
		Endpoints: []discoveryv1.Endpoint{{
			Addresses: []string{"127.0.0.1"}, Conditions: discoveryv1.EndpointConditions{Ready: &ready},
		}},
		Ports: []discoveryv1.EndpointPort{{Name: &name, Port: &p, Protocol: &tcp}},
	}
}
