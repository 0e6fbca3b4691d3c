package source

import (
	"bytes"
	"encoding/json"
	"fmt"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	networkingv1 "istio.io/client-go/pkg/apis/networking/v1"
	securityv1 "istio.io/client-go/pkg/apis/security/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	authv1alpha1 "github.com/usher-mesh/usher/internal/control/api/authentication/v1alpha1"
)

// decoder makes a typed object from a stored one; an unknown field or value is
// an error.
type decoder func(u *unstructured.Unstructured) (metav1.Object, error)

// custom is the transform of a custom resource's informer. What cannot be
// decoded becomes an Undecodable instead of stopping the informer.
func custom(decode decoder) func(any) (any, error) {
	return func(obj any) (any, error) {
		u, ok := obj.(*unstructured.Unstructured)
		if !ok {
			return obj, nil // transformed already, or a tombstone
		}
		u.SetManagedFields(nil)
		o, err := decode(u)
		if err != nil {
			return &Undecodable{Unstructured: u, Err: err}, nil
		}
		return o, nil
	}
}

// core is the transform of typed objects: it drops what nobody here may need.
func core(obj any) (any, error) {
	if o, ok := obj.(metav1.Object); ok {
		o.SetManagedFields(nil)
	}
	if s, ok := obj.(*corev1.Secret); ok && !holdsCertificate(s) {
		s.Data, s.StringData = nil, nil
	}
	return obj, nil
}

func holdsCertificate(s *corev1.Secret) bool {
	if s.Type == corev1.SecretTypeTLS {
		return true
	}
	for _, key := range []string{"cert", "tls.crt", "cacert", "ca.crt"} {
		if _, ok := s.Data[key]; ok {
			return true
		}
	}
	return false
}

// istio decodes an object whose spec is a protobuf message.
func istio[T interface {
	metav1.Object
	runtime.Object
}](newObject func() (T, proto.Message)) decoder {
	return func(u *unstructured.Unstructured) (metav1.Object, error) {
		obj, spec := newObject()
		if err := metadata(u, obj); err != nil {
			return nil, err
		}
		raw, ok := u.Object["spec"]
		if !ok || raw == nil {
			return obj, nil
		}
		raw = seconds(runtime.DeepCopyJSONValue(raw), spec.ProtoReflect().Descriptor())
		b, err := json.Marshal(raw)
		if err != nil {
			return nil, fmt.Errorf("spec: %w", err)
		}
		if err := protojson.Unmarshal(b, spec); err != nil {
			return nil, fmt.Errorf("spec: %w", err)
		}
		return obj, nil
	}
}

func metadata(u *unstructured.Unstructured, to metav1.Object) error {
	b, err := json.Marshal(u.Object["metadata"])
	if err != nil {
		return fmt.Errorf("metadata: %w", err)
	}
	var m metav1.ObjectMeta
	if err := json.Unmarshal(b, &m); err != nil {
		return fmt.Errorf("metadata: %w", err)
	}
	to.SetNamespace(m.Namespace)
	to.SetName(m.Name)
	to.SetUID(m.UID)
	to.SetResourceVersion(m.ResourceVersion)
	to.SetGeneration(m.Generation)
	to.SetCreationTimestamp(m.CreationTimestamp)
	to.SetDeletionTimestamp(m.DeletionTimestamp)
	to.SetLabels(m.Labels)
	to.SetAnnotations(m.Annotations)
	to.SetOwnerReferences(m.OwnerReferences)
	return nil
}

// strictPolicy is a PolicySpec without its own lenient decoding.
type strictPolicy authv1alpha1.PolicySpec

// legacy decodes an object of authentication.istio.io, whose fields may be
// spelled in snake case.
func legacy[T metav1.Object](newObject func() (T, *authv1alpha1.PolicySpec)) decoder {
	return func(u *unstructured.Unstructured) (metav1.Object, error) {
		obj, spec := newObject()
		if err := metadata(u, obj); err != nil {
			return nil, err
		}
		raw, ok := u.Object["spec"].(map[string]any)
		if !ok {
			return obj, nil
		}
		raw = runtime.DeepCopyJSON(raw)
		if err := authv1alpha1.Canonical(raw); err != nil {
			return nil, fmt.Errorf("spec: %w", err)
		}
		b, err := json.Marshal(raw)
		if err != nil {
			return nil, fmt.Errorf("spec: %w", err)
		}
		d := json.NewDecoder(bytes.NewReader(b))
		d.DisallowUnknownFields()
		if err := d.Decode((*strictPolicy)(spec)); err != nil {
			return nil, fmt.Errorf("spec: %w", err)
		}
		return obj, nil
	}
}

// decoders has one for each custom resource, by plural name.
func decoders() map[string]decoder {
	return map[string]decoder{
		"gateways": istio(func() (*networkingv1.Gateway, proto.Message) {
			o := &networkingv1.Gateway{}
			return o, &o.Spec
		}),
		"virtualservices": istio(func() (*networkingv1.VirtualService, proto.Message) {
			o := &networkingv1.VirtualService{}
			return o, &o.Spec
		}),
		"destinationrules": istio(func() (*networkingv1.DestinationRule, proto.Message) {
			o := &networkingv1.DestinationRule{}
			return o, &o.Spec
		}),
		"serviceentries": istio(func() (*networkingv1.ServiceEntry, proto.Message) {
			o := &networkingv1.ServiceEntry{}
			return o, &o.Spec
		}),
		"workloadentries": istio(func() (*networkingv1.WorkloadEntry, proto.Message) {
			o := &networkingv1.WorkloadEntry{}
			return o, &o.Spec
		}),
		"workloadgroups": istio(func() (*networkingv1.WorkloadGroup, proto.Message) {
			o := &networkingv1.WorkloadGroup{}
			return o, &o.Spec
		}),
		"sidecars": istio(func() (*networkingv1.Sidecar, proto.Message) {
			o := &networkingv1.Sidecar{}
			return o, &o.Spec
		}),
		"requestauthentications": istio(func() (*securityv1.RequestAuthentication, proto.Message) {
			o := &securityv1.RequestAuthentication{}
			return o, &o.Spec
		}),
		"authorizationpolicies": istio(func() (*securityv1.AuthorizationPolicy, proto.Message) {
			o := &securityv1.AuthorizationPolicy{}
			return o, &o.Spec
		}),
		"peerauthentications": istio(func() (*securityv1.PeerAuthentication, proto.Message) {
			o := &securityv1.PeerAuthentication{}
			return o, &o.Spec
		}),
		"policies": legacy(func() (*authv1alpha1.Policy, *authv1alpha1.PolicySpec) {
			o := &authv1alpha1.Policy{}
			return o, &o.Spec
		}),
		"meshpolicies": legacy(func() (*authv1alpha1.MeshPolicy, *authv1alpha1.PolicySpec) {
			o := &authv1alpha1.MeshPolicy{}
			return o, &o.Spec
		}),
	}
}
