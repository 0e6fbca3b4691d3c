package builtin

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

func serviceAccountKind() *kind {
	return &kind{
		resource: schema.GroupResource{Resource: "serviceaccounts"},
		singular: "serviceaccount",
		short:    []string{"sa"},
		new:      func() runtime.Object { return &corev1.ServiceAccount{} },
		newList:  func() runtime.Object { return &corev1.ServiceAccountList{} },
		name:     validation.ValidateServiceAccountName,
		columns:  []metav1.TableColumnDefinition{column("Secrets", "integer", "Number of secrets that it names.")},
		row:      func(o runtime.Object) []any { return []any{int64(len(o.(*corev1.ServiceAccount).Secrets))} },
	}
}
