package workload

import (
	"context"
	"fmt"

	istio "istio.io/client-go/pkg/clientset/versioned"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/usher-mesh/usher/internal/proxy/supervise/spec"
)

const (
	// managedLabel marks the objects that are made for local workloads.
	managedLabel = "app.kubernetes.io/managed-by"
	managedBy    = "usher"
	// portsAnnotation says which ports we wrote, so that a Service that somebody
	// edited is not deleted.
	portsAnnotation = "usher.dev/ports"
)

// Registry writes what the API knows of local workloads.
type Registry struct {
	kube  kubernetes.Interface
	istio istio.Interface
}

// NewRegistry makes a Registry.
func NewRegistry(cfg *rest.Config) (*Registry, error) {
	k, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		return nil, err
	}
	i, err := istio.NewForConfig(cfg)
	if err != nil {
		return nil, err
	}
	return &Registry{k, i}, nil
}

// Register makes the Service (if there is none), the ServiceAccount (if there is
// none) and the WorkloadEntry. What a gateway needs is made elsewhere but for its
// WorkloadEntry.
func (r *Registry) Register(ctx context.Context, s *spec.Spec) error {
	if err := r.ensureNamespace(ctx, s.Namespace); err != nil {
		return err
	}
	if err := r.ensureAccount(ctx, s.Namespace, s.ServiceAccount); err != nil {
		return err
	}
	if s.Kind != spec.Gateway && len(s.Ports) > 0 {
		if err := r.ensureService(ctx, s); err != nil {
			return err
		}
	}
	return r.writeEntry(ctx, s)
}

// Registered tells whether the API has the workload's WorkloadEntry.
func (r *Registry) Registered(ctx context.Context, s *spec.Spec) (bool, error) {
	_, err := r.istio.NetworkingV1().WorkloadEntries(s.Namespace).Get(ctx, s.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	return err == nil, err
}

// NamespaceEnds tells whether the namespace is gone, or going.
func (r *Registry) NamespaceEnds(ctx context.Context, ns string) (bool, error) {
	n, err := r.kube.CoreV1().Namespaces().Get(ctx, ns, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return true, nil
	}
	return err == nil && n.DeletionTimestamp != nil, err
}

func (r *Registry) ensureNamespace(ctx context.Context, ns string) error {
	_, err := r.kube.CoreV1().Namespaces().Get(ctx, ns, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return fmt.Errorf("there is no namespace %q: create it with `kubectl create namespace %s`", ns, ns)
	}
	return err
}

// CreateNamespace makes the namespace unless it is there.
func (r *Registry) CreateNamespace(ctx context.Context, ns string) error {
	_, err := r.kube.CoreV1().Namespaces().Create(ctx,
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns}}, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	return err
}

func (r *Registry) ensureAccount(ctx context.Context, ns, name string) error {
	sa := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: ns}}
	_, err := r.kube.CoreV1().ServiceAccounts(ns).Create(ctx, sa, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("create ServiceAccount %s/%s: %w", ns, name, err)
	}
	return nil
}

// Unregister deletes the WorkloadEntry, and the Service if it was the last
// workload of one that nobody edited.
func (r *Registry) Unregister(ctx context.Context, namespace, name, service string) error {
	err := r.istio.NetworkingV1().WorkloadEntries(namespace).Delete(ctx, name, metav1.DeleteOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("delete WorkloadEntry %s/%s: %w", namespace, name, err)
	}
	if service == "" {
		return nil
	}
	services := r.kube.CoreV1().Services(namespace)
	svc, err := services.Get(ctx, service, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	if edited(svc) {
		return nil
	}
	left, err := r.istio.NetworkingV1().WorkloadEntries(namespace).List(ctx, metav1.ListOptions{LabelSelector: "app=" + service})
	if err != nil || len(left.Items) > 0 {
		return err
	}
	err = services.Delete(ctx, service, metav1.DeleteOptions{
		Preconditions: &metav1.Preconditions{UID: &svc.UID, ResourceVersion: &svc.ResourceVersion},
	})
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil
	}
	return err
}
