package builtin

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func secretKind() *kind {
	return &kind{
		resource:      schema.GroupResource{Resource: "secrets"},
		singular:      "secret",
		new:           func() runtime.Object { return &corev1.Secret{} },
		newList:       func() runtime.Object { return &corev1.SecretList{} },
		name:          validation.NameIsDNSSubdomain,
		prepareCreate: func(o runtime.Object) { defaultSecret(o.(*corev1.Secret)) },
		prepareUpdate: func(o, old runtime.Object) { defaultSecret(o.(*corev1.Secret)) },
		validate:      func(o runtime.Object) field.ErrorList { return validateSecret(o.(*corev1.Secret)) },
		validateUpdate: func(o, old runtime.Object) field.ErrorList {
			return immutableSecret(o.(*corev1.Secret), old.(*corev1.Secret))
		},
		fields:  func(o runtime.Object) fields.Set { return fields.Set{"type": string(o.(*corev1.Secret).Type)} },
		columns: []metav1.TableColumnDefinition{column("Type", "string", "What the data are."), column("Data", "integer", "Number of keys.")},
		row: func(o runtime.Object) []any {
			s := o.(*corev1.Secret)
			return []any{string(s.Type), int64(len(s.Data))}
		},
	}
}

// defaultSecret sets the type and moves stringData, which is only ever written, to
// data.
func defaultSecret(s *corev1.Secret) {
	if s.Type == "" {
		s.Type = corev1.SecretTypeOpaque
	}
	if len(s.StringData) > 0 && s.Data == nil {
		s.Data = map[string][]byte{}
	}
	for k, v := range s.StringData {
		s.Data[k] = []byte(v)
	}
	s.StringData = nil
}

func validateSecret(s *corev1.Secret) (errs field.ErrorList) {
	data := field.NewPath("data")
	size := 0
	for _, k := range slices.Sorted(maps.Keys(s.Data)) {
		size += len(s.Data[k])
		errs = append(errs, dataKey(data, k)...)
	}
	if size > maxData {
		errs = append(errs, field.TooLong(data, "", maxData))
	}
	switch s.Type {
	case corev1.SecretTypeTLS:
		errs = append(errs, missing(s.Data, corev1.TLSCertKey, corev1.TLSPrivateKeyKey)...)
	case corev1.SecretTypeSSHAuth:
		errs = append(errs, missing(s.Data, corev1.SSHAuthPrivateKey)...)
	case corev1.SecretTypeBasicAuth:
		if s.Data[corev1.BasicAuthUsernameKey] == nil && s.Data[corev1.BasicAuthPasswordKey] == nil {
			errs = append(errs, missing(s.Data, corev1.BasicAuthUsernameKey)...)
		}
	case corev1.SecretTypeDockerConfigJson:
		errs = append(errs, missing(s.Data, corev1.DockerConfigJsonKey)...)
		if v, ok := s.Data[corev1.DockerConfigJsonKey]; ok && !json.Valid(v) {
			errs = append(errs, field.Invalid(data.Key(corev1.DockerConfigJsonKey), "<secret contents redacted>", "not JSON"))
		}
	case corev1.SecretTypeServiceAccountToken:
		errs = append(errs, field.NotSupported(field.NewPath("type"), s.Type, []corev1.SecretType{corev1.SecretTypeOpaque, corev1.SecretTypeTLS}))
	}
	return errs
}

func immutableSecret(s, old *corev1.Secret) (errs field.ErrorList) {
	if s.Type != old.Type {
		errs = append(errs, field.Invalid(field.NewPath("type"), s.Type, "field is immutable"))
	}
	if old.Immutable == nil || !*old.Immutable {
		return errs
	}
	if s.Immutable == nil || !*s.Immutable {
		errs = append(errs, field.Forbidden(field.NewPath("immutable"), isImmutable))
	}
	if !maps.EqualFunc(s.Data, old.Data, bytes.Equal) {
		errs = append(errs, field.Forbidden(field.NewPath("data"), isImmutable))
	}
	return errs
}
