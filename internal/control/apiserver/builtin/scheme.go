package builtin

import (
	"fmt"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// groups are the types of each version. The same Go types stand for the group's
// internal version, which the registry asks for, so nothing is converted.
func groups() map[schema.GroupVersion][]runtime.Object {
	return map[schema.GroupVersion][]runtime.Object{
		corev1.SchemeGroupVersion: {
			&corev1.Namespace{}, &corev1.NamespaceList{}, &corev1.Service{}, &corev1.ServiceList{},
			&corev1.Secret{}, &corev1.SecretList{}, &corev1.ConfigMap{}, &corev1.ConfigMapList{},
			&corev1.ServiceAccount{}, &corev1.ServiceAccountList{}, &corev1.Event{}, &corev1.EventList{},
		},
		discoveryv1.SchemeGroupVersion: {&discoveryv1.EndpointSlice{}, &discoveryv1.EndpointSliceList{}},
		authenticationv1.SchemeGroupVersion: {
			&authenticationv1.TokenRequest{}, &authenticationv1.TokenReview{}, &authenticationv1.SelfSubjectReview{},
		},
		authorizationv1.SchemeGroupVersion: {&authorizationv1.SelfSubjectAccessReview{}},
	}
}

// NewScheme knows the built-in kinds, their defaults and their field selectors.
func NewScheme() (*runtime.Scheme, error) {
	s := runtime.NewScheme()
	for gv, types := range groups() {
		s.AddKnownTypes(gv, types...)
		s.AddKnownTypes(schema.GroupVersion{Group: gv.Group, Version: runtime.APIVersionInternal}, types...)
		metav1.AddToGroupVersion(s, gv)
		if err := s.SetVersionPriority(gv); err != nil {
			return nil, err
		}
	}
	s.AddUnversionedTypes(corev1.SchemeGroupVersion, &metav1.Status{}, &metav1.APIVersions{},
		&metav1.APIGroupList{}, &metav1.APIGroup{}, &metav1.APIResourceList{})

	s.AddTypeDefaultingFunc(&corev1.Namespace{}, func(o any) { defaultNamespace(o.(*corev1.Namespace)) })
	s.AddTypeDefaultingFunc(&corev1.Service{}, func(o any) { defaultService(o.(*corev1.Service)) })
	s.AddTypeDefaultingFunc(&corev1.Secret{}, func(o any) { defaultSecret(o.(*corev1.Secret)) })
	s.AddTypeDefaultingFunc(&discoveryv1.EndpointSlice{}, func(o any) { defaultEndpointSlice(o.(*discoveryv1.EndpointSlice)) })

	for _, k := range kinds() {
		labels := k.attributes(k.new())
		gvk, err := kindOf(s, k.new())
		if err != nil {
			return nil, err
		}
		err = s.AddFieldLabelConversionFunc(gvk, func(label, value string) (string, string, error) {
			if !labels.Has(label) {
				return "", "", fmt.Errorf("%q is not a known field selector", label)
			}
			return label, value, nil
		})
		if err != nil {
			return nil, err
		}
	}
	return s, nil
}

// kindOf is the external version's kind of a Go type that is registered for both.
func kindOf(s *runtime.Scheme, o runtime.Object) (schema.GroupVersionKind, error) {
	all, _, err := s.ObjectKinds(o)
	for _, gvk := range all {
		if gvk.Version != runtime.APIVersionInternal {
			return gvk, nil
		}
	}
	return schema.GroupVersionKind{}, fmt.Errorf("%T: no external version: %v", o, err)
}
