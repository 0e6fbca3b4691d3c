package source

import (
	"maps"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// sameCustom tells whether two versions of a custom resource differ in status
// alone. Their generation counts the changes of everything but metadata and
// status.
func sameCustom(a, b metav1.Object) bool {
	return a.GetUID() == b.GetUID() && a.GetGeneration() == b.GetGeneration() &&
		maps.Equal(a.GetLabels(), b.GetLabels()) && maps.Equal(a.GetAnnotations(), b.GetAnnotations()) &&
		(a.GetDeletionTimestamp() == nil) == (b.GetDeletionTimestamp() == nil)
}

// sameCore compares the whole object: most kinds of the core group have no
// generation.
func sameCore(a, b metav1.Object) bool {
	x, ok := comparable(a)
	if !ok {
		return false
	}
	y, ok := comparable(b)
	return ok && equality.Semantic.DeepEqual(x, y)
}

func comparable(o metav1.Object) (runtime.Object, bool) {
	r, ok := o.(runtime.Object)
	if !ok {
		return nil, false
	}
	r = r.DeepCopyObject()
	m, ok := r.(metav1.Object)
	if !ok {
		return nil, false
	}
	m.SetResourceVersion("")
	m.SetManagedFields(nil)
	switch t := r.(type) {
	case *corev1.Service:
		t.Status = corev1.ServiceStatus{}
	case *corev1.Namespace:
		t.Status = corev1.NamespaceStatus{Phase: t.Status.Phase}
	}
	return r, true
}
