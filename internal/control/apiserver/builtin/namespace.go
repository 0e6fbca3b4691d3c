package builtin

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func namespaceKind() *kind {
	return &kind{
		resource:       schema.GroupResource{Resource: "namespaces"},
		singular:       "namespace",
		short:          []string{"ns"},
		cluster:        true,
		new:            func() runtime.Object { return &corev1.Namespace{} },
		newList:        func() runtime.Object { return &corev1.NamespaceList{} },
		name:           validation.ValidateNamespaceName,
		prepareCreate:  func(o runtime.Object) { createNamespace(o.(*corev1.Namespace)) },
		prepareUpdate:  func(o, old runtime.Object) { updateNamespace(o.(*corev1.Namespace), old.(*corev1.Namespace)) },
		validateUpdate: func(o, old runtime.Object) field.ErrorList { return checkNamespaceLabel(o.(*corev1.Namespace)) },
		prepareStatus: func(o, old runtime.Object) {
			o.(*corev1.Namespace).Spec = old.(*corev1.Namespace).Spec
			o.(*corev1.Namespace).Labels = old.(*corev1.Namespace).Labels
		},
		fields: func(o runtime.Object) fields.Set {
			return fields.Set{"status.phase": string(o.(*corev1.Namespace).Status.Phase)}
		},
		columns: []metav1.TableColumnDefinition{column("Status", "string", "Whether the namespace is in use or ends.")},
		row:     func(o runtime.Object) []any { return []any{string(o.(*corev1.Namespace).Status.Phase)} },
	}
}

func defaultNamespace(n *corev1.Namespace) {
	if n.Status.Phase == "" {
		n.Status.Phase = corev1.NamespaceActive
	}
	if n.Name == "" {
		return // a generated name comes later, see createNamespace
	}
	if n.Labels == nil {
		n.Labels = map[string]string{}
	}
	n.Labels[corev1.LabelMetadataName] = n.Name
}

// createNamespace adds the finalizer that holds a namespace until it is empty.
func createNamespace(n *corev1.Namespace) {
	n.Status = corev1.NamespaceStatus{Phase: corev1.NamespaceActive}
	if !slices.Contains(n.Spec.Finalizers, corev1.FinalizerKubernetes) {
		n.Spec.Finalizers = append(n.Spec.Finalizers, corev1.FinalizerKubernetes)
	}
	defaultNamespace(n)
}

func updateNamespace(n, old *corev1.Namespace) {
	n.Spec.Finalizers = old.Spec.Finalizers // changed by namespaces/finalize alone
	n.Status = old.Status
}

func checkNamespaceLabel(n *corev1.Namespace) field.ErrorList {
	if n.Labels[corev1.LabelMetadataName] != n.Name {
		return field.ErrorList{field.Invalid(field.NewPath("metadata", "labels").Key(corev1.LabelMetadataName),
			n.Labels[corev1.LabelMetadataName], "must be the namespace's name")}
	}
	return nil
}
